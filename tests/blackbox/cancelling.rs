//! A call that is taken back ends at once with all that it started, and no other call does.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{ERAS, Era};
use crate::daemon::{Daemon, Setup};
use crate::policy::{ALICE, BOB};
use crate::processes::{await_end, await_start, eventually, marker, with_argument};

/// Sooner than a message would be sent to a client that has gone, by which it would be noticed.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A tree of three processes that has this operand, and writes all the time.
fn tree(seconds: &str) -> String {
    format!("(timeout 99999999 sleep {seconds} &) ; while sleep 0.1; do echo on; done & exec sleep {seconds}")
}

fn await_tree(seconds: &str) {
    eventually("the whole tree", || with_argument(seconds).len() >= 3);
}

/// Waits for the one event of a call with this operand.
fn outcome(daemon: &Daemon, operand: &str) -> Value {
    let event = daemon.log.await_event("the audit event of the call", |event| {
        event["target"] == "kernos::audit" && event["command"].to_string().contains(operand)
    });
    event["outcome"].clone()
}

#[test]
fn a_call_that_is_told_of_is_cancelled_in_the_middle_of_it() {
    let daemon = Daemon::start();
    for era in ERAS {
        let (seconds, other) = (marker(), marker());
        let client = daemon.client_of(era, ALICE);
        let goes_on = client.begin_run(&["sleep", &other]);
        let call = client.begin_told(&["sh", "-c", &tree(&seconds)], json!("t"));
        await_tree(&seconds);
        eventually("progress", || !call.heard.progress().is_empty());
        let cancelled = Instant::now();
        client.cancel(call);
        await_end(&seconds);
        assert!(cancelled.elapsed() < AT_ONCE, "{era:?}: {:?}", cancelled.elapsed());
        assert_eq!(outcome(&daemon, &seconds), "cancelled", "{era:?}");
        assert_eq!(with_argument(&other).len(), 1, "{era:?}: another call goes on");
        assert_eq!(client.run(&["echo", "next"]).stdout(), "next\n", "{era:?}");
        client.cancel(goes_on);
        await_end(&other);
    }
}

#[test]
fn a_cancelled_request_is_not_answered_and_its_stream_ends() {
    let daemon = Daemon::start();
    let client = daemon.client_of(Era::Legacy, ALICE);
    let elsewhere = client.listen();
    for token in [Value::Null, json!("t")] {
        let seconds = marker();
        let call = match &token {
            Value::Null => client.begin_run(&["sh", "-c", &tree(&seconds)]),
            _ => client.begin_told(&["sh", "-c", &tree(&seconds)], token.clone()),
        };
        await_tree(&seconds);
        client.notify("notifications/cancelled", json!({ "requestId": call.id, "reason": "enough" }));
        let heard = call.heard.clone();
        call.finish().expect("the stream ends in good order");
        await_end(&seconds);
        assert_eq!(outcome(&daemon, &seconds), "cancelled");
        assert_eq!(client.run(&["echo", "next"]).stdout(), "next\n");
        let answered = |(_, message): &(_, Value)| message.get("id").is_some();
        assert!(!heard.messages().iter().any(answered), "{heard:?}");
        assert_eq!(elsewhere.messages(), [], "token {token}");
    }
}

#[test]
fn a_call_that_waits_for_its_turn_is_cancelled_before_it_begins() {
    let daemon = Setup::new().replace("[limits]", "[limits]\nconcurrent = 1").start();
    for era in ERAS {
        let (seconds, never) = (marker(), marker());
        let client = daemon.client_of(era, ALICE);
        let running = client.begin_run(&["sleep", &seconds]);
        await_start(&seconds);
        let waiting = client.begin_told(&["sleep", &never], json!("w"));
        // Nothing tells from outside that a call waits; one that does not wait would run by now.
        thread::sleep(Duration::from_millis(300));
        client.cancel(waiting);
        assert_eq!(outcome(&daemon, &never), "cancelled", "{era:?}");
        assert_eq!((with_argument(&never), with_argument(&seconds).len()), (vec![], 1), "{era:?}");
        client.cancel(running);
        await_end(&seconds);
        assert_eq!(client.run(&["echo", "next"]).stdout(), "next\n", "{era:?}: its place is free");
    }
}

#[test]
fn cancelling_what_is_unknown_or_answered_does_nothing() {
    let daemon = Daemon::start();
    let client = daemon.client_of(Era::Legacy, ALICE);
    let seconds = marker();
    let answered = client.begin_run(&["true"]);
    let finished = answered.id;
    answered.answer();
    let running = client.begin_run(&["sleep", &seconds]);
    await_start(&seconds);
    for id in [json!(finished), json!(999_999), json!("no such id"), json!(running.id.to_string())] {
        client.notify("notifications/cancelled", json!({ "requestId": id }));
    }
    still_runs(&seconds);
    client.cancel(running);
    await_end(&seconds);
}

#[test]
fn a_request_is_cancelled_by_nobody_but_its_own_session() {
    let daemon = Daemon::start();
    let client = daemon.client_of(Era::Legacy, ALICE);
    let seconds = marker();
    let running = client.begin_run(&["sleep", &seconds]);
    await_start(&seconds);
    let cancel = json!({ "requestId": running.id });
    for key in [ALICE, BOB] {
        daemon.client_of(Era::Legacy, key).notify("notifications/cancelled", cancel.clone());
    }
    let mut thief = daemon.client_of(Era::Legacy, BOB);
    thief.session.clone_from(&client.session);
    let stolen = thief.request("notifications/cancelled", cancel);
    assert_eq!(stolen.status, reqwest::StatusCode::NOT_FOUND, "{stolen:?}");
    still_runs(&seconds);
    client.cancel(running);
    await_end(&seconds);
    assert_eq!(outcome(&daemon, &seconds), "cancelled");
}

/// A call that was cancelled would end within a moment.
fn still_runs(seconds: &str) {
    thread::sleep(Duration::from_millis(500));
    assert_eq!(with_argument(seconds).len(), 1, "it goes on");
}
