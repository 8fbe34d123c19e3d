//! A start that must not succeed says why, where, and what would be right.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::Value;

use crate::client::plain;
use crate::daemon::{Daemon, Finished, Setup, binary};
use crate::policy::digest;

#[test]
fn every_mistake_in_a_policy_is_told_at_once() {
    let setup = Setup::new()
        .replace("timeout = \"10s\"", "timeout = \"ten bananas\"")
        .replace("hosts   =", "hots    =")
        .replace("commands = [\"cat\"", "commands = [\"no-such-rule\", \"cat\"");
    let finished = setup.run();
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.matches('^').count() >= 3, "{}", finished.text);
    for said in ["ten bananas", "hots", "hosts", "no-such-rule", "kernos.toml:"] {
        assert!(finished.text.contains(said), "nothing of {said} in\n{}", finished.text);
    }
}

#[test]
fn a_policy_that_is_no_toml_is_told_with_its_place() {
    let finished = Setup::new().append("\n[server\n").run();
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.contains("kernos.toml:") && finished.text.contains('^'), "{}", finished.text);
}

#[test]
fn a_policy_that_is_not_there_is_named() {
    let child = Command::new(binary())
        .args(["serve", "--config", "/nonexistent/kernos.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let finished = Finished::of(child);
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.contains("/nonexistent/kernos.toml"), "{}", finished.text);
}

#[test]
fn a_policy_that_anybody_can_change_is_refused() {
    let finished = Setup::new().mode(0o666).run();
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.contains("0666") || finished.text.contains("chmod"), "{}", finished.text);
}

#[test]
fn require_is_refused_while_the_kernel_is_not_asked_to_hold_the_roots() {
    let finished = Setup::new().replace("\"best-effort\"", "\"require\"").run();
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.contains("best-effort"), "{}", finished.text);
}

#[test]
fn a_port_that_is_taken_is_told_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = Setup::new().replace("127.0.0.1:0", &address).run();
    assert_eq!(finished.code, Some(71), "{}", finished.text);
    for said in [&address, "listen"] {
        assert!(finished.text.contains(said), "nothing of {said} in\n{}", finished.text);
    }
}

#[test]
fn listen_on_the_command_line_wins() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new().replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    let daemon = setup.argument("--listen").argument("127.0.0.1:0").start();
    assert_eq!(daemon.client().run(&["echo", "there"]).stdout(), "there\n");
}

#[test]
fn a_daemon_with_keys_missing_is_not_opened_to_the_network() {
    let setup = Setup::new().replace("127.0.0.1:0", "0.0.0.0:0").append("[anonymous]\nprofile = \"dev\"\n");
    let finished = setup.run();
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.contains("remote"), "{}", finished.text);
}

#[test]
fn ready_is_told_with_the_address() {
    let daemon = Daemon::start();
    assert!(daemon.address().ip().is_loopback());
    assert_ne!(daemon.address().port(), 0);
}

#[test]
fn the_log_begins_with_what_serves_where_and_under_which_policy() {
    let daemon = Daemon::start();
    let event = daemon.log.await_event("the start", |event| {
        event["message"].as_str().is_some_and(|text| text.starts_with("kernos "))
    });
    let said = event["message"].as_str().unwrap();
    let ready = plain(Method::GET, &daemon.url("/ready"), &[]).json();
    for part in [
        concat!("kernos ", env!("CARGO_PKG_VERSION"), " (commit "),
        &format!(" serving on http://{}; ", daemon.address()),
        &format!("; policy {}, ", daemon.setup().policy_file().display()),
        &format!(", sha256 {}; ", ready["checks"]["policy"]["digest"].as_str().unwrap()),
        &format!("; orders of root at {}", daemon.setup().control().display()),
    ] {
        assert!(said.contains(part), "nothing of {part:?} in {said:?}");
    }
}

fn with_an_expired_key() -> Setup {
    let key = format!("[key.old]\nsha256 = \"{}\"\nprofile = \"dev\"\n", digest("old"));
    Setup::new().append(&key).append("expires = 2001-01-01\n")
}

#[test]
fn what_the_policy_means_less_than_one_could_believe_and_the_end_are_in_the_format_of_the_log() {
    let mut daemon = with_an_expired_key().start();
    let says = |event: &Value, level: &str, text: &str| {
        event["level"] == level && event["message"].as_str().is_some_and(|message| message.contains(text))
    };
    daemon.log.await_event("the warning", |event| says(event, "WARN", "[key.old] has expired"));
    kill(Pid::from_raw(daemon.executor()), Signal::SIGKILL).unwrap();
    assert_eq!(daemon.await_exit().code(), Some(70));
    daemon.log.await_event("the end", |event| says(event, "ERROR", "the executor has ended"));
    let lines = daemon.log.whole().lines().count();
    assert_eq!(daemon.log.events().len(), lines, "every line is JSON:\n{}", daemon.log.whole());
}

#[test]
fn of_warnings_explain_tells_how_many() {
    let setup = with_an_expired_key();
    setup.write_policy();
    let mut explain = Command::new(binary());
    explain.arg("explain").arg("--config").arg(setup.policy_file()).args(["--key", "alice", "--", "true"]);
    let output = explain.output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(" about the policy: see `kernos check`\n") && !said.contains("key.old"), "{said}");
}

#[test]
fn an_unknown_option_is_a_mistake_of_usage() {
    let output = Command::new(binary()).args(["serve", "--no-such-option"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}

#[test]
fn check_judges_a_policy_as_the_daemon_does() {
    let setup = Setup::new();
    let check = |setup: &Setup| {
        setup.write_policy();
        Command::new(binary()).arg("check").arg(setup.policy_file()).output().unwrap()
    };
    let sound = check(&setup);
    assert_eq!(sound.status.code(), Some(0), "{sound:?}");
    let setup = setup.replace("timeout = \"10s\"", "timeout = \"ten bananas\"");
    let unsound = check(&setup);
    assert_eq!(unsound.status.code(), Some(1), "{unsound:?}");
    let told = [unsound.stdout, unsound.stderr].concat();
    assert!(String::from_utf8_lossy(&told).contains("ten bananas"));
    fs::remove_file(setup.policy_file()).unwrap();
    let absent = Command::new(binary()).arg("check").arg(setup.policy_file()).output().unwrap();
    assert_eq!(absent.status.code(), Some(2), "{absent:?}");
}
