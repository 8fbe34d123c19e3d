//! The policy that the tests start from, and the place on disk that goes with it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The users that a daemon started as root takes; nobody has these numbers.
pub const DAEMON_USER: u32 = 60901;
/// The user of the executor and of every command.
pub const COMMAND_USER: u32 = 60902;

/// A key that may call `shell_execute`.
pub const ALICE: &str = "kernos_test_alice_0123456789abcdef";
/// Another key with the same profile.
pub const BOB: &str = "kernos_test_bob_0123456789abcdef";
/// A key whose profile has no tool.
pub const IDLE: &str = "kernos_test_idle_0123456789abcdef";

const STANDARD: &str = r#"
[server]
listen  = ["127.0.0.1:0"]
hosts   = ["kernos.example"]
origins = ["https://app.example"]
sandbox = "best-effort"
USERS

[log]
format = "json"

[root.work]
path = "WORK"

[limits]
timeout = "10s"
timeout_max = "20s"

[environment]
set = { PATH = "/usr/bin:/bin", LANG = "C.UTF-8" }

[command.cat]
flags = ["-n", "-A"]
operands = "path"
RULES

[profile.dev]
tools = ["shell_execute"]
commands = ["cat", COMMANDS]
roots = { work = "rw" }

[profile.idle]
tools = []
commands = ["true"]
roots = { work = "ro" }

[key.alice]
sha256 = "ALICE"
profile = "dev"

[key.bob]
sha256 = "BOB"
profile = "dev"

[key.idle]
sha256 = "IDLE"
profile = "idle"
"#;

/// Programs that may be called with any arguments. All are in every Debian.
const FREE: [&str; 17] = [
    "echo", "env", "false", "grep", "head", "id", "ls", "printf", "pwd", "seq", "sh", "sleep", "sort",
    "tail", "true", "wc", "yes",
];

/// The policy's text.
pub fn standard(work: &Path) -> String {
    let rules: String = FREE.iter().map(|name| format!("[command.{name}]\n")).collect();
    let commands: Vec<String> = FREE.iter().map(|name| format!("{name:?}")).collect();
    let users =
        if is_root() { format!("user = {DAEMON_USER}\nrun_as = {COMMAND_USER}") } else { String::new() };
    STANDARD
        .replace("USERS", &users)
        .replace("WORK", work.to_str().expect("a temporary directory has a plain name"))
        .replace("RULES", &rules)
        .replace("COMMANDS", &commands.join(", "))
        .replace("ALICE", &digest(ALICE))
        .replace("BOB", &digest(BOB))
        .replace("IDLE", &digest(IDLE))
}

/// What a policy holds in place of a key.
pub fn digest(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the tests run as root, so that the daemon has somebody to become.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A directory of the test's own that the daemon's users can enter, with a root `work` that commands can write.
pub fn place() -> (TempDir, PathBuf) {
    let directory = TempDir::with_prefix("kernos-test-").expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("it is ours");
    let work = directory.path().join("work");
    fs::create_dir(&work).expect("it is empty");
    if is_root() {
        chown(&work, Some(COMMAND_USER), Some(COMMAND_USER)).expect("root may");
    }
    (directory, work)
}
