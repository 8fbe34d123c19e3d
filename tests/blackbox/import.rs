//! A predecessor's settings become a policy that is checked, served and called with the keys that were there before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::client::Era;
use crate::daemon::{Setup, binary};
use crate::policy;

const KEY: &str = "kernos_imported_0123456789abcdef";

const SETTINGS: &str = "\
# The settings of Kernos.
MCP_SERVER_HOST=127.0.0.1
MCP_SERVER_PORT=0
ALLOW_COMMANDS='echo, pwd ,kernos-has-no-such,cd'
ALLOW_PATTERNS=^ca?t$
KERNOS_API_KEYS=kernos_another_0123456789abcdef,kernos_imported_0123456789abcdef
SOME_PASSWORD=hunter2
";

/// Runs `kernos policy import` on a file of these settings.
fn import(settings: &str) -> Output {
    let place = TempDir::with_prefix("kernos-test-").unwrap();
    let file = place.path().join("kernos.env");
    fs::write(&file, settings).unwrap();
    Command::new(binary()).args(["policy", "import"]).arg(file).output().unwrap()
}

/// A daemon's setup with the policy that was made of these settings.
fn imported(settings: &str) -> Setup {
    let output = import(settings);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let setup = Setup::new();
    let standard = policy::standard(setup.work());
    setup.replace(&standard, &String::from_utf8(output.stdout).unwrap())
}

#[test]
fn what_was_imported_is_sound_and_serves_the_keys_that_were_there() {
    let setup = imported(SETTINGS);
    setup.write_policy();
    let checked = Command::new(binary()).arg("check").arg(setup.policy_file()).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
    let daemon = setup.start();
    let client = daemon.client_of(Era::Modern, KEY);
    assert_eq!(client.run(&["echo", "a", "|", "cat"]).printed(), ("a\n", 0));
    assert_eq!(client.run(&["pwd"]).stdout(), "/tmp\n");
    assert!(client.run(&["id"]).refusal().contains("id"));
}

#[test]
fn nothing_that_is_printed_holds_a_secret_of_the_file() {
    let output = import(SETTINGS);
    for text in [output.stdout, output.stderr] {
        let text = String::from_utf8(text).unwrap();
        for secret in [KEY, "kernos_another", "hunter2"] {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
        assert!(text.contains("SOME_PASSWORD"), "{text}");
    }
}

#[test]
fn without_keys_this_host_alone_may_call() {
    let setup = imported("MCP_SERVER_HOST=0.0.0.0\nMCP_SERVER_PORT=0\nALLOW_COMMANDS=echo\n");
    let daemon = setup.start();
    assert!(daemon.address().ip().is_loopback());
    let client = crate::client::Client::without_key(&daemon.url("/mcp"), Era::Modern);
    assert_eq!(client.run(&["echo", "a"]).printed(), ("a\n", 0));
}

#[test]
fn a_file_with_other_lines_is_refused_with_all_of_them() {
    let output = import("A=1\nhunter2\nB='1\n");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(78), vec![]), "{told}");
    for place in ["kernos.env:2:1: error: ", "kernos.env:3:3: error: "] {
        assert!(told.contains(place) && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_as_a_policy_is() {
    let missing = Command::new(binary()).args(["policy", "import", "/nonexistent"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(78));
    if policy::is_root() {
        return;
    }
    let place = TempDir::with_prefix("kernos-test-").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o000)).unwrap();
    let hidden =
        Command::new(binary()).args(["policy", "import"]).arg(place.path().join("x")).output().unwrap();
    assert_eq!(hidden.status.code(), Some(77));
}
