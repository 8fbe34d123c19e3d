//! What a service manager is told, and whether it is true.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Era;
use crate::daemon::{Daemon, Setup};
use crate::policy::ALICE;
use crate::processes::{await_start, eventually, marker};

#[test]
fn the_status_counts_calls_and_sessions() {
    let daemon = Daemon::start();
    let address = daemon.address();
    let started = marker();
    let client = daemon.client_of(Era::Legacy, ALICE);
    let call = client.begin_run(&["sleep", &started]);
    await_start(&started);
    let status = |rest: &str| format!("STATUS=serving on {address}; {rest}");
    eventually("a call in the status", || daemon.times_told(&status("1 call, 1 session")) > 0);
    client.cancel(call);
    eventually("no call in the status", || daemon.times_told(&status("0 calls, 1 session")) > 0);
}

#[test]
fn the_watchdog_is_told_as_long_as_the_executor_answers() {
    let daemon = Setup::new().environment("WATCHDOG_USEC", "2000000").start();
    eventually("two signs of life", || daemon.times_told("WATCHDOG=1") >= 2);
    let executor = Pid::from_raw(daemon.executor());
    kill(executor, Signal::SIGSTOP).unwrap();
    daemon.log.await_event("that it does not answer", |event| {
        event["message"].as_str().is_some_and(|text| text.starts_with("the executor does not answer"))
    });
    let told = daemon.times_told("WATCHDOG=1");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(daemon.times_told("WATCHDOG=1"), told);
    kill(executor, Signal::SIGCONT).unwrap();
    eventually("another sign of life", || daemon.times_told("WATCHDOG=1") > told);
}

#[test]
fn without_a_watchdog_nothing_is_told() {
    let daemon = Daemon::start();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(daemon.times_told("WATCHDOG=1"), 0);
}

#[test]
#[ignore = "needs systemd-socket-activate; run by .ci/run"]
fn the_socket_that_systemd_passes_is_served() {
    let daemon = Setup::new().activated().start();
    assert_eq!(daemon.client().run(&["echo", "passed"]).stdout(), "passed\n");
    // What told kernos of the socket is not told to what it starts.
    let variables = daemon.client().run(&["env"]);
    assert!(!variables.stdout().contains("LISTEN_"), "{variables:?}");
}
