//! A reader of the record that has stopped: calls go on or are refused, none hangs, and no event is lost untold.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::Value;

use crate::client::plain;
use crate::daemon::{Daemon, Setup};
use crate::processes::eventually;

/// Longer than the pipe of the log is large.
const CALLS: usize = 12;

#[test]
fn calls_go_on_while_nobody_reads_the_log_and_every_event_arrives_in_the_end() {
    let daemon = Setup::new().replace("[log]", "[log]\nrequired = false").start();
    daemon.log.stop();
    let begun = Instant::now();
    for _ in 0..CALLS {
        assert_eq!(long_call(&daemon).status(), 0);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    await_state(&daemon, "failing");
    daemon.log.go_on();
    await_state(&daemon, "ok");
    assert_eq!(await_numbers(&daemon, CALLS), (0..CALLS as u64).collect::<Vec<_>>());
}

#[test]
fn calls_are_refused_while_nobody_reads_a_log_that_is_required() {
    let daemon = Daemon::start();
    daemon.log.stop();
    let mut done = 0;
    eventually("a call is refused", || {
        let answer = long_call(&daemon);
        done += 1;
        answer.text.contains("no call is made while the record cannot be written")
    });
    daemon.log.go_on();
    eventually("a call is made again", || {
        done += 1;
        !long_call(&daemon).is_error
    });
    assert_eq!(await_numbers(&daemon, done), (0..done as u64).collect::<Vec<_>>());
}

#[test]
fn a_log_that_nobody_reads_does_not_keep_kernos_from_ending() {
    let mut daemon = Setup::new().replace("[log]", "[log]\nrequired = false").start();
    daemon.log.stop();
    (0..CALLS).for_each(|_| drop(long_call(&daemon)));
    daemon.signal(Signal::SIGTERM);
    eventually("the end of the daemon", || daemon.has_ended());
    daemon.log.go_on();
}

/// A call whose event has 16 KiB.
fn long_call(daemon: &Daemon) -> crate::client::Answer {
    daemon.client().run(&["true", &"x".repeat(20_000)])
}

fn await_state(daemon: &Daemon, state: &str) {
    eventually(&format!("the record is {state}"), || {
        let ready = plain(Method::GET, &daemon.url("/ready"), &[]).body;
        serde_json::from_str::<Value>(&ready).expect("JSON")["checks"]["record"]["state"] == state
    });
}

/// The numbers of the events, in the order in which they were written.
fn await_numbers(daemon: &Daemon, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    eventually(&format!("{count} events"), || {
        numbers = daemon.log.events().iter().filter_map(|event| event["seq"].as_u64()).collect();
        numbers.len() >= count
    });
    numbers
}
