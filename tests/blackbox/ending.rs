//! How calls end, and how the daemon does: nothing that a call started outlives it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::ERAS;
use crate::daemon::Daemon;
use crate::policy::ALICE;
use crate::processes::{await_end, await_start, eventually, marker, with_argument};

#[test]
fn cancelling_ends_the_tree_in_both_eras() {
    let daemon = Daemon::start();
    for era in ERAS {
        let seconds = marker();
        let client = daemon.client_of(era, ALICE);
        let script = format!("(timeout 99999999 sleep {seconds} &) ; sleep {seconds}");
        let call = client.begin_run(&["sh", "-c", &script, "|", "cat"]);
        eventually("both sleeps", || with_argument(&seconds).len() >= 3);
        client.cancel(call);
        await_end(&seconds);
        assert_eq!(client.run(&["echo", "next"]).stdout(), "next\n", "{era:?}");
    }
}

#[test]
fn a_cancelled_call_is_on_record() {
    let daemon = Daemon::start();
    let seconds = marker();
    let client = daemon.client();
    let call = client.begin_run(&["sleep", &seconds]);
    await_start(&seconds);
    client.cancel(call);
    daemon.log.await_event("the audit event of a cancelled call", |event| {
        let text = event.to_string();
        text.contains(&seconds) && text.contains("cancelled")
    });
}

#[test]
fn a_deadline_keeps_what_was_written_before_it() {
    let seconds = marker();
    let script = format!("echo before; sleep {seconds}");
    let answer = Daemon::start().client().run_within(1, &["sh", "-c", &script]);
    answer.refusal();
    assert_eq!((answer.stdout(), answer.ended(), answer.status()), ("before\n", "timed-out", 124));
    assert_eq!(with_argument(&seconds), [0; 0]);
}

#[test]
fn a_stop_drains_and_gives_back_what_was_written() {
    let mut daemon = Daemon::start();
    let seconds = marker();
    let client = daemon.client();
    let call = client.begin_run(&["sh", "-c", &format!("echo partial; sleep {seconds}")]);
    await_start(&seconds);
    daemon.signal(Signal::SIGTERM);
    daemon.told("STOPPING=1");
    let answer = call.answer();
    assert_eq!((answer.is_error, answer.stdout()), (true, "partial\n"), "{answer:?}");
    assert_eq!(daemon.await_exit().code(), Some(0));
    assert_eq!(with_argument(&seconds), [0; 0]);
}

#[test]
fn a_stop_lets_a_short_call_finish() {
    let mut daemon = Daemon::start();
    let call = daemon.client().begin_run(&["sh", "-c", "echo started; sleep 0.5; echo finished"]);
    eventually("the shell", || !with_argument("echo started; sleep 0.5; echo finished").is_empty());
    daemon.signal(Signal::SIGTERM);
    assert_eq!(call.answer().printed(), ("started\nfinished\n", 0));
    assert_eq!(daemon.await_exit().code(), Some(0));
}

#[test]
fn a_stop_with_open_sessions_does_not_wait_for_them() {
    let mut daemon = Daemon::start();
    let _sessions = ERAS.map(|era| daemon.client_of(era, ALICE).run(&["true"]));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.await_exit().code(), Some(0));
}

#[test]
fn a_killed_executor_ends_every_call_and_the_daemon() {
    let mut daemon = Daemon::start();
    let seconds = marker();
    let client = daemon.client();
    let calls = [(); 2].map(|()| client.begin_run(&["sleep", &seconds]));
    eventually("both calls", || with_argument(&seconds).len() == 2);
    kill(Pid::from_raw(daemon.executor()), Signal::SIGKILL).unwrap();
    for call in calls {
        let reply = call.finish().expect("each running call is answered");
        assert!(reply.body.contains("executor"), "{reply:?}");
    }
    let status = daemon.await_exit();
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    await_end(&seconds);
}

#[test]
fn a_killed_daemon_leaves_nothing_behind() {
    let daemon = Daemon::start();
    let seconds = marker();
    let _call = daemon.client().begin_run(&["sh", "-c", &format!("timeout 99999999 sleep {seconds} & wait")]);
    await_start(&seconds);
    let executor = daemon.executor();
    drop(daemon);
    await_end(&seconds);
    eventually("the end of the executor", || kill(Pid::from_raw(executor), None).is_err());
}
