//! Another policy for a daemon that runs: the new one whole or the old one kept, and what that does to calls.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::client::{Client, ERAS, Era, plain};
use crate::daemon::{Daemon, Setup, binary};
use crate::policy::{ALICE, BOB, DAEMON_USER, digest};
use crate::processes::{await_end, await_start, eventually, marker};

const CAROL: &str = "kernos_test_carol_0123456789abcdef";

/// A daemon that may read its policy again, whoever it has become.
fn readable() -> Daemon {
    Setup::new().mode(0o644).start()
}

fn signalled(daemon: &Daemon) {
    let before = daemon.times_told("RELOADING=1");
    daemon.signal(Signal::SIGHUP);
    eventually("a reload that is over", || {
        daemon.times_told("RELOADING=1") > before
            && daemon.times_told("READY=1") == daemon.times_told("RELOADING=1") + 1
    });
}

fn readiness(daemon: &Daemon) -> (u16, Value) {
    let ready = plain(reqwest::Method::GET, &daemon.url("/ready"), &[]);
    (ready.status.as_u16(), ready.json())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn status_of(daemon: &Daemon, key: &str) -> u16 {
    status_at(&daemon.url("/mcp"), key)
}

fn status_at(url: &str, key: &str) -> u16 {
    let client = Client::without_key(url, Era::Modern);
    client
        .header("authorization", &format!("Bearer {key}"))
        .request("tools/list", Value::default())
        .status
        .as_u16()
}

#[test]
fn a_hangup_loads_a_policy_whose_file_can_be_read() {
    let mut daemon = readable();
    let (_, before) = readiness(&daemon);
    assert_eq!(status_of(&daemon, CAROL), 401);
    let digest = digest(BOB);
    daemon.rewrite(&digest, &crate::policy::digest(CAROL));
    signalled(&daemon);
    assert_eq!(
        (status_of(&daemon, CAROL), status_of(&daemon, BOB), status_of(&daemon, ALICE)),
        (200, 401, 200)
    );
    let (_, after) = readiness(&daemon);
    assert_eq!(after["checks"]["policy"]["state"], "ok");
    assert_ne!(before["checks"]["policy"]["digest"], after["checks"]["policy"]["digest"]);
    daemon.told("MONOTONIC_USEC=");
}

#[test]
fn a_policy_with_mistakes_changes_nothing() {
    let mut daemon = readable();
    let (_, before) = readiness(&daemon);
    daemon.rewrite("timeout = \"10s\"", "timeout = \"ten bananas\"");
    signalled(&daemon);
    daemon.log.await_event("the mistake", |event| {
        event["level"] == "ERROR"
            && event["diagnostic"].as_str().is_some_and(|text| text.contains("ten bananas"))
    });
    let (status, after) = readiness(&daemon);
    assert_eq!((status, &after["checks"]["policy"]["state"]), (200, &"reload-refused".into()));
    assert_eq!(before["checks"]["policy"]["digest"], after["checks"]["policy"]["digest"]);
    assert_eq!(daemon.client().run(&["echo", "as before"]).stdout(), "as before\n");
    daemon.rewrite("timeout = \"ten bananas\"", "timeout = \"10s\"");
    signalled(&daemon);
    assert_eq!(readiness(&daemon).1["checks"]["policy"]["state"], "ok");
}

#[test]
fn a_policy_of_which_there_is_much_to_say_is_refused_while_nobody_reads_the_log() {
    let mut daemon = readable();
    daemon.rewrite("timeout = \"10s\"", &format!("timeout = \"10s\"\n{}", unknown_keys(2000)));
    daemon.log.stop();
    signalled(&daemon);
    assert_eq!(readiness(&daemon).1["checks"]["policy"]["state"], "reload-refused");
    daemon.log.go_on();
}

fn unknown_keys(count: usize) -> String {
    (0..count).map(|number| format!("unknown_{number} = 1\n")).collect()
}

#[test]
fn a_service_manager_that_does_not_listen_holds_nothing_up() {
    let mut daemon = readable();
    let url = daemon.url("/mcp");
    daemon.fill_notify_socket();
    daemon.rewrite(&digest(BOB), &digest(CAROL));
    daemon.signal(Signal::SIGHUP);
    eventually("the policy is served", || status_at(&url, CAROL) == 200);
    daemon.told("MONOTONIC_USEC=");
    eventually("the reload is over", || daemon.times_told("READY=1") == 2);
}

#[test]
fn a_refused_policy_is_a_reload_too_whose_end_says_that_the_old_one_is_kept() {
    let mut daemon = readable();
    fs::set_permissions(daemon.setup().policy_file(), Permissions::from_mode(0o666)).unwrap();
    signalled(&daemon);
    let kept = format!(
        "STATUS=serving on {}; 0 calls, 0 sessions; a reload was refused, the old policy is kept",
        daemon.address()
    );
    assert!(daemon.times_told(&kept) > 0);
    daemon.rewrite(&digest(BOB), &digest(CAROL));
    signalled(&daemon);
    let told = daemon.times_told(&kept);
    signalled(&daemon);
    assert_eq!((daemon.times_told(&kept), status_of(&daemon, CAROL)), (told, 200));
}

#[test]
fn what_needs_a_restart_is_named_and_not_half_done() {
    let mut daemon = readable();
    daemon.rewrite("listen  = [\"127.0.0.1:0\"]", "listen  = [\"127.0.0.1:1\"]");
    daemon.rewrite(&digest(BOB), &digest(CAROL));
    signalled(&daemon);
    daemon.log.await_event("what needs a restart", |event| {
        event["message"].as_str().is_some_and(|text| text.ends_with("restart needed: server.listen"))
    });
    assert_eq!((status_of(&daemon, BOB), status_of(&daemon, CAROL)), (200, 401));
}

#[test]
fn a_running_call_finishes_under_the_policy_that_admitted_it() {
    let mut daemon = readable();
    let started = marker();
    let call = daemon.client().begin_run(&["sleep", &format!("0.5{started}"), "&&", "echo", "finished"]);
    await_start(&format!("0.5{started}"));
    daemon.rewrite("commands = [\"cat\"", "commands = [\"cat\", \"wc\"");
    signalled(&daemon);
    assert_eq!(call.answer().printed(), ("finished\n", 0));
}

#[test]
fn a_key_that_may_less_loses_its_calls_and_its_sessions_at_once() {
    for era in ERAS {
        let mut daemon = readable();
        let alice = daemon.client_of(era, ALICE);
        let bob = daemon.client_of(Era::Legacy, BOB);
        let (mine, his) = (marker(), marker());
        let call = alice.begin_run(&["echo", "begun", "&&", "sleep", &mine]);
        let other = bob.begin_run(&["sleep", &his]);
        await_start(&mine);
        await_start(&his);
        daemon.rewrite(
            &format!("sha256 = \"{}\"\nprofile = \"dev\"", digest(ALICE)),
            &format!("sha256 = \"{}\"\nprofile = \"idle\"", digest(ALICE)),
        );
        signalled(&daemon);
        await_end(&mine);
        let answer = call.answer();
        assert_eq!((answer.ended(), answer.stdout(), answer.is_error), ("revoked", "begun\n", true));
        daemon.log.await_event("the event", |event| event["key"] == "alice" && event["outcome"] == "revoked");
        if era == Era::Legacy {
            assert_eq!(alice.request("ping", Value::default()).status.as_u16(), 404);
        }
        assert_eq!(bob.request("ping", Value::default()).status.as_u16(), 200);
        bob.cancel(other);
        await_end(&his);
    }
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn root_hands_over_what_the_daemon_cannot_read() {
    let mut daemon = Setup::new().start();
    daemon.rewrite(&digest(BOB), &digest(CAROL));
    daemon.signal(Signal::SIGHUP);
    daemon.log.await_event("the way out", |event| {
        event["message"].as_str().is_some_and(|text| text.contains("run `kernos reload` as root"))
    });
    assert_eq!(status_of(&daemon, CAROL), 401);

    let output = daemon.reload();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output).starts_with("the policy was replaced: "), "{output:?}");
    assert_eq!((status_of(&daemon, CAROL), status_of(&daemon, BOB)), (200, 401));

    daemon.rewrite("timeout = \"10s\"", "timeout = \"ten bananas\"");
    let output = daemon.reload();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    for said in ["kernos.toml:", "ten bananas", "not replaced: the new one has 1 mistake"] {
        assert!(text(&output).contains(said), "nothing of {said} in\n{}", text(&output));
    }
    daemon.log.await_event("a number in place of the mistakes", |event| event["diagnostics"] == 1);
    daemon.rewrite("timeout = \"ten bananas\"", "timeout = \"10s\"");
    daemon.rewrite("hosts   =", "environment = \"test\"\nhosts   =");
    let output = daemon.reload();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(text(&output).contains("restart needed: server.environment"), "{output:?}");
    assert_eq!(status_of(&daemon, CAROL), 200);
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn a_file_that_is_not_to_be_trusted_is_refused_by_root_and_told_to_the_daemon() {
    let daemon = Setup::new().start();
    fs::set_permissions(daemon.setup().policy_file(), Permissions::from_mode(0o666)).unwrap();
    let output = daemon.reload();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(text(&output).contains("others than its owner can write it"), "{output:?}");
    assert_eq!(readiness(&daemon).1["checks"]["policy"]["state"], "reload-refused");
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn the_default_file_is_not_taken_for_the_one_that_the_daemon_was_started_with() {
    let daemon = Setup::new().start();
    let output = daemon.order(&["reload"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let own = daemon.setup().policy_file().display().to_string();
    for named in ["/etc/kernos/kernos.toml", &own] {
        assert!(text(&output).contains(named), "nothing of {named} in {output:?}");
    }
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn a_credential_is_rotated_by_a_reload() {
    let setup = Setup::new();
    let credentials = setup.outside().join("credentials");
    let write = |key: &str| {
        fs::create_dir_all(&credentials).unwrap();
        fs::set_permissions(&credentials, Permissions::from_mode(0o700)).unwrap();
        fs::write(credentials.join("carol-key"), key).unwrap();
    };
    write("kernos_test_of_carol_before_0123456789");
    let path = credentials.to_str().unwrap().to_owned();
    let daemon = setup
        .environment("CREDENTIALS_DIRECTORY", &path)
        .append("[key.carol]\ncredential = \"carol-key\"\nprofile = \"dev\"\n")
        .start();
    assert_eq!(status_of(&daemon, CAROL), 401);
    write(CAROL);
    let output = daemon.reload();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(status_of(&daemon, CAROL), 200);
    assert_eq!(status_of(&daemon, "kernos_test_of_carol_before_0123456789"), 401);
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn nobody_but_root_gives_orders() {
    let daemon = Setup::new().mode(0o644).start();
    let control = daemon.setup().control();
    let as_somebody = || {
        let (user, group) = (format!("--reuid={DAEMON_USER}"), format!("--regid={DAEMON_USER}"));
        let mut command = Command::new("setpriv");
        command.args([&user, &group, "--clear-groups"]).arg(binary());
        command.args(["reload", "--config"]).arg(daemon.setup().policy_file()).arg("--control").arg(&control);
        command.output().unwrap()
    };
    assert_eq!(as_somebody().status.code(), Some(77));
    fs::set_permissions(&control, Permissions::from_mode(0o666)).unwrap();
    let output = as_somebody();
    // It runs as the daemon's own user, and is not believed all the same.
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    assert!(text(&output).contains("it answers only root"), "{output:?}");
    assert_eq!(daemon.times_told("RELOADING=1"), 0);
}

#[test]
fn a_reload_without_a_daemon_says_what_may_be_wrong() {
    let output =
        Command::new(binary()).args(["reload", "--control", "/nonexistent/control"]).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(text(&output).contains("no daemon takes orders at /nonexistent/control"), "{output:?}");
}
