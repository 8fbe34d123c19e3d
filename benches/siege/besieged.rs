//! The daemon: started under a policy of its own, and gone with everything that it started when this is.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::wire;

/// The users that a daemon started as root takes. No test uses these numbers, so that what runs under them is ours.
const DAEMON_USER: u32 = 60911;
const COMMAND_USER: u32 = 60912;

/// Who has a key; the last one attacks.
pub const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "mallory"];

/// Descriptors that a service has where nobody asks for more: systemd's soft limit.
const OPEN_FILES: u64 = 1024;

/// How long a start may take on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Running calls have five seconds, what is sent then three (docs/http.md).
const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// What has to be ended if this program is told to end.
static RUNNING: Mutex<Option<(Pid, PathBuf)>> = Mutex::new(None);

/// A daemon that serves.
pub struct Besieged {
    child: Child,
    directory: TempDir,
    address: SocketAddr,
    log: Option<JoinHandle<()>>,
}

impl Besieged {
    /// Starts `kernos serve` with an ordinary limit of descriptors, and waits until it is ready. Each line of its
    /// log goes to `hear`.
    pub fn start(
        kernos: &Path,
        controlled: bool,
        hear: impl FnMut(&str) + Send + 'static,
    ) -> Result<Self, String> {
        let directory = TempDir::with_prefix("kernos-siege-").map_err(told("a directory"))?;
        prepare(directory.path()).map_err(told("the place of the daemon"))?;
        let path = directory.path().join("notify");
        let notify = UnixDatagram::bind(&path).map_err(told("the notify socket"))?;
        notify.set_read_timeout(Some(Duration::from_millis(50))).expect("it is not zero");
        // As systemd's own: the daemon writes to it after it has become somebody else.
        fs::set_permissions(&path, Permissions::from_mode(0o777)).map_err(told("the notify socket"))?;

        let mut command = Command::new(kernos);
        command.args(["serve", "--config"]).arg(policy_file(directory.path()));
        if controlled {
            command.arg("--control").arg(control(directory.path()));
        }
        command.env("NOTIFY_SOCKET", &path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = spawn(&mut command).map_err(|error| format!("{}: {error}", kernos.display()))?;
        let log = child.stderr.take().map(|stream| thread::spawn(move || listen(stream, hear)));
        *RUNNING.lock().expect("nobody panics with it") =
            Some((process(&child), directory.path().to_owned()));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut besieged = Self { child, directory, address, log };
        besieged.address = besieged.ready(&notify)?;
        Ok(besieged)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The user that its commands run as, where that is nobody else's.
    pub fn user() -> Option<u32> {
        is_root().then_some(COMMAND_USER)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root that commands may write.
    pub fn work(&self) -> PathBuf {
        work(self.directory.path())
    }

    /// Where its policy stands.
    pub fn policy_file(&self) -> PathBuf {
        policy_file(self.directory.path())
    }

    /// The socket over which it is told to load the policy again.
    pub fn control(&self) -> PathBuf {
        control(self.directory.path())
    }

    /// Puts another policy in the place of the first, which differs in one limit.
    pub fn write_policy(&self, limit: &str) -> Result<String, String> {
        write_policy(self.directory.path(), limit).map_err(told("the policy"))
    }

    /// A metric's value; of one with labels, their sum.
    pub fn metric(&self, name: &str) -> Result<f64, String> {
        let series = wire::fetch(self.address, "/metrics")?.message()[name]["series"].take();
        let values = series.as_array().into_iter().flatten().filter_map(|one| one["value"].as_f64());
        values.reduce(|sum, value| sum + value).ok_or_else(|| format!("/metrics has no {name}"))
    }

    /// Whether it has ended by itself, which it never should.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| format!("the daemon ended with {status}"))
    }

    /// Ends it as a service is ended, and waits until its whole log was heard.
    pub fn stop(mut self) -> Result<(), String> {
        let _ = kill_process(process(&self.child), Signal::TERM);
        let deadline = Instant::now() + STOPPED_WITHIN;
        while self.ended().is_none() {
            if Instant::now() > deadline {
                return Err(format!("the daemon has not stopped within {STOPPED_WITHIN:?}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.log.take().map(JoinHandle::join);
        let status = self.child.wait().map_err(told("the daemon"))?;
        if status.success() { Ok(()) } else { Err(format!("the daemon ended with {status}")) }
    }

    fn ready(&mut self, notify: &UnixDatagram) -> Result<SocketAddr, String> {
        let deadline = Instant::now() + READY_WITHIN;
        let (mut said, mut buffer) = (String::new(), [0; 4096]);
        while Instant::now() < deadline {
            if let Ok(length) = notify.recv(&mut buffer) {
                let _ = writeln!(said, "{}", String::from_utf8_lossy(&buffer[..length]));
            }
            if let Some((_, status)) = said.split_once("STATUS=serving on ")
                && said.contains("READY=1")
            {
                let address = status.split([' ', ',', ';', '\n']).next().unwrap_or_default();
                return address.parse().map_err(|error| format!("{address:?}: {error}"));
            }
            if let Some(ended) = self.ended() {
                return Err(format!("{ended} before it was ready"));
            }
        }
        Err(format!("the daemon is not ready within {READY_WITHIN:?}"))
    }
}

impl Drop for Besieged {
    fn drop(&mut self) {
        end_running();
        let _ = self.child.wait();
        // The executor's side ends by itself, and then nobody holds the log open.
        let _ = self.log.take().map(JoinHandle::join);
    }
}

/// Kills the daemon that runs, if one does, and removes what it had.
pub fn end_running() {
    let running = RUNNING.lock().expect("nobody panics with it").take();
    if let Some((pid, directory)) = running {
        let _ = kill_process(pid, Signal::KILL);
        let _ = fs::remove_dir_all(directory);
    }
}

/// A name's key.
pub fn key(name: &str) -> String {
    format!("kernos_siege_{name}_0123456789abcdef")
}

/// Whether this runs as root, so that the daemon has somebody to become.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// As many descriptors as we may have: an attack needs thousands of them.
pub fn raise_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn process(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed()).expect("a child has a number")
}

fn told<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

fn work(directory: &Path) -> PathBuf {
    directory.join("work")
}

fn policy_file(directory: &Path) -> PathBuf {
    directory.join("kernos.toml")
}

fn control(directory: &Path) -> PathBuf {
    directory.join("control")
}

/// A directory that the daemon's users can enter, with a root that commands can write, and the policy.
fn prepare(directory: &Path) -> std::io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    fs::create_dir(work(directory))?;
    if is_root() {
        chown(work(directory), Some(COMMAND_USER), Some(COMMAND_USER))?;
    }
    write_policy(directory, "30s").map(drop)
}

/// Writes the policy, and gives its digest.
fn write_policy(directory: &Path, limit: &str) -> std::io::Result<String> {
    let users =
        if is_root() { format!("user = {DAEMON_USER}\nrun_as = {COMMAND_USER}") } else { String::new() };
    let mut text = include_str!("policy.toml")
        .replace("USERS", &users)
        .replace("WORK", &work(directory).to_string_lossy())
        .replace("LIMIT", limit);
    for name in NAMES {
        let profile = if name == "mallory" { "attacker" } else { "agent" };
        let digest = digest(&key(name));
        let _ = write!(text, "\n[key.{name}]\nsha256 = \"{digest}\"\nprofile = \"{profile}\"\n");
    }
    // Renamed into its place, so that nobody reads half of it.
    let fresh = directory.join("kernos.toml.new");
    fs::write(&fresh, &text)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
    fs::rename(&fresh, policy_file(directory))?;
    Ok(digest(&text))
}

fn digest(text: &str) -> String {
    kernos::vocab::hex(&Sha256::digest(text))
}

/// Starts the daemon, which inherits our limits, with those of an ordinary service.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let ours = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(OPEN_FILES), ..ours })?;
    let child = command.spawn();
    setrlimit(Resource::Nofile, ours)?;
    child
}

fn listen(stream: impl std::io::Read, mut hear: impl FnMut(&str)) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        hear(&line);
    }
}
