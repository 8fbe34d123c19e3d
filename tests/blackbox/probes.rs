//! What a supervisor and a scraper see, without a key.

use std::io::Write;
use std::process::{Command, Stdio};

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::client::{Era, Reply, plain};
use crate::daemon::{Daemon, Setup};
use crate::policy::ALICE;

#[test]
fn a_served_daemon_is_alive_and_ready() {
    let daemon = Daemon::start();
    assert_eq!(get(&daemon, "/live").status, StatusCode::OK);
    let ready = get(&daemon, "/ready");
    assert_eq!(ready.status, StatusCode::OK);
    for check in ["policy", "executor", "record", "sandbox"] {
        assert!(ready.body.contains(check), "no check {check} in {}", ready.body);
    }
}

#[test]
fn health_is_both_in_one() {
    let daemon = Daemon::start();
    let health = get(&daemon, "/health");
    assert_eq!(health.status, StatusCode::OK);
    let document = health.json();
    assert!(document.is_object() && document.to_string().contains("executor"), "{document}");
}

#[test]
fn what_the_kernel_does_not_hold_is_named_by_ready() {
    let daemon = Daemon::start();
    let ready = get(&daemon, "/ready").body;
    assert!(ready.contains("best-effort") || ready.contains("gap"), "{ready}");
}

#[test]
fn metrics_are_prometheus_text() {
    let daemon = Daemon::start();
    daemon.client().run(&["true"]);
    daemon.client().run(&["rm", "x"]);
    let reply = get(&daemon, "/metrics");
    assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"), "{reply:?}");
    for family in [
        "kernos_build_info",
        "kernos_http_requests_total",
        "kernos_tool_calls_total",
        "kernos_tool_call_duration_seconds",
        "kernos_policy_denials_total",
        "kernos_auth_failures_total",
        "process_resident_memory_bytes",
    ] {
        assert!(reply.body.contains(&format!("# TYPE {family} ")), "no {family} in\n{}", reply.body);
        assert!(reply.body.contains(&format!("# HELP {family} ")), "no help of {family} in\n{}", reply.body);
    }
    assert_eq!(sum(&reply.body, "kernos_tool_calls_total{"), 2, "{}", reply.body);
    assert_eq!(sum(&reply.body, "kernos_policy_denials_total{"), 1, "{}", reply.body);
}

#[test]
fn metrics_are_json_for_those_who_ask() {
    let daemon = Daemon::start();
    let reply = plain(Method::GET, &daemon.url("/metrics"), &[("accept", "application/json")]);
    assert!(reply.header("content-type").starts_with("application/json"), "{reply:?}");
    let document: Value = reply.json();
    assert!(document.to_string().contains("kernos_tool_calls_total"), "{document}");
}

#[test]
fn metrics_name_no_command_that_the_policy_does_not() {
    let daemon = Setup::new().start();
    daemon.client().run(&["a-name-of-the-callers-choice"]);
    assert!(!get(&daemon, "/metrics").body.contains("a-name-of-the-callers-choice"));
}

#[test]
fn every_program_of_the_policy_is_counted_from_the_start() {
    let metrics = get(&Daemon::start(), "/metrics").body;
    for line in [
        "kernos_command_executions_total{command=\"echo\",outcome=\"succeeded\"} 0",
        "kernos_command_executions_total{command=\"cat\",outcome=\"not-started\"} 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} is missing in\n{metrics}");
    }
}

#[test]
#[ignore = "needs promtool; run by .ci/run"]
fn promtool_has_nothing_to_say_of_the_metrics() {
    let daemon = Setup::new().replace("[server]", "[server]\nenvironment = \"test\"").start();
    daemon.client().run(&["echo", "hello"]);
    daemon.client().run(&["false", "|", "no-such-command"]);
    daemon.client_of(Era::Legacy, ALICE).run(&["false"]);
    plain(Method::GET, &daemon.url("/mcp"), &[]);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (Debian: prometheus)");
    let metrics = get(&daemon, "/metrics").body;
    promtool.stdin.take().expect("it is piped").write_all(metrics.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{metrics}");
}

fn get(daemon: &Daemon, path: &str) -> Reply {
    plain(Method::GET, &daemon.url(path), &[])
}

fn sum(text: &str, start: &str) -> u64 {
    let samples = text.lines().filter(|line| line.starts_with(start));
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}
