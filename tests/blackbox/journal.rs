//! The record in a real journal, with what the kernel itself says of its writer.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::daemon::Setup;
use crate::policy::{ALICE, DAEMON_USER};
use crate::processes::eventually;
use crate::secrets;

const SOCKET: &str = "/run/systemd/journal/socket";

#[test]
#[ignore = "needs root and systemd-journald; run by .ci/run"]
fn the_journal_has_the_event_and_vouches_for_its_writer() {
    let _journald = Journald::running();
    let daemon = Setup::new().replace("format = \"json\"", "format = \"journald\"").start();
    let id = daemon.client().run(&["echo", "in the journal"]).request_id;

    let event = event_of(&id);
    let field = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("no {name} in {event}"));
    assert_eq!(field("KERNOS_KEY"), "alice");
    assert_eq!(field("KERNOS_TOOL"), "shell_execute");
    assert_eq!(field("KERNOS_DECISION"), "allowed");
    assert_eq!(field("KERNOS_RULE"), "echo");
    assert_eq!(field("KERNOS_STATUS"), "0");
    assert!(field("KERNOS_COMMAND").contains("in the journal"), "{event}");
    assert!(field("KERNOS_DURATION_US").parse::<u64>().is_ok(), "{event}");
    assert!(field("KERNOS_SEQ").parse::<u64>().is_ok(), "{event}");
    // What follows is written by journald, from what the kernel told it.
    assert_eq!(field("_UID"), DAEMON_USER.to_string());
    assert_eq!(field("_PID"), daemon.pid().to_string());
    assert_eq!(field("_CAP_EFFECTIVE"), "0");
}

#[test]
#[ignore = "needs root and systemd-journald; run by .ci/run"]
fn an_event_of_a_megabyte_arrives_whole() {
    let _journald = Journald::running();
    let environment = "e".repeat(1_000_000);
    let daemon = Setup::new()
        .replace("format = \"json\"", "format = \"journald\"")
        .replace("[server]", &format!("[server]\nenvironment = \"{environment}\""))
        .start();
    let id = daemon.client().run(&["echo", "large"]).request_id;
    let event = event_of(&id);
    assert_eq!(event["KERNOS_ENVIRONMENT"].as_str().map(str::len), Some(environment.len()));
    assert_eq!(event["KERNOS_KEY"], "alice");
    assert_eq!(event["_PID"], daemon.pid().to_string());
}

#[test]
#[ignore = "needs root and systemd-journald; run by .ci/run"]
fn the_journal_has_no_key_no_secret_argument_and_no_output() {
    let _journald = Journald::running();
    let daemon = secrets::setup().replace("format = \"json\"", "format = \"journald\"").start();
    let id = daemon.client().run(&["show", "-p", secrets::SECRET, "--key", ALICE, "printed"]).request_id;
    assert_eq!(event_of(&id)["KERNOS_COMMAND"], r#"["show","-p","[secret]","--key","[key]","printed"]"#);
    daemon.client().run(&["printf", "%s%s", "out", "put-of-a-command"]);
    let whole = journalctl(&[&format!("_PID={}", daemon.pid())]);
    assert!(whole.contains("serving on") && whole.contains("put-of-a-command"), "the log, and its events");
    for secret in [secrets::SECRET, ALICE, "output-of-a-command"] {
        assert!(!whole.contains(secret), "{secret} is in\n{whole}");
    }
}

fn event_of(request_id: &str) -> Value {
    let mut found = None;
    eventually("the event in the journal", || {
        let text = journalctl(&[&format!("KERNOS_REQUEST_ID={request_id}"), "KERNOS_TOOL=shell_execute"]);
        found = text.lines().find_map(|line| serde_json::from_str(line).ok());
        found.is_some()
    });
    found.expect("it was seen")
}

/// The events that match, as lines of JSON.
fn journalctl(matches: &[&str]) -> String {
    let output = Command::new("journalctl")
        .args(["--quiet", "--all", "--output=json"])
        .args(matches)
        .output()
        .expect("journalctl is installed where journald is");
    String::from_utf8(output.stdout).expect("JSON is text")
}

/// A journald of the test's own where none runs: it needs no systemd around it. One test at a time has it.
struct Journald {
    child: Option<Child>,
    _alone: MutexGuard<'static, ()>,
}

impl Journald {
    fn running() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        if Path::new(SOCKET).exists() && Self::answers() {
            return Self { child: None, _alone: alone };
        }
        let child = Command::new("/lib/systemd/systemd-journald")
            .spawn()
            .expect("Debian's package systemd is installed");
        eventually("the journal's socket", Self::answers);
        Self { child: Some(child), _alone: alone }
    }

    fn answers() -> bool {
        let socket = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        socket.connect(SOCKET).is_ok()
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
