//! What root sees of the calls that run, and the end of one by root.

use serde_json::Value;

use crate::client::ERAS;
use crate::daemon::{Daemon, Setup};
use crate::policy::{ALICE, BOB};
use crate::processes::{await_end, await_start, eventually, marker};

fn calls(daemon: &Daemon) -> Vec<Value> {
    let output = daemon.order(&["calls", "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn root_sees_what_a_call_runs_and_what_it_spends() {
    let daemon = Daemon::start();
    assert_eq!(calls(&daemon), Vec::<Value>::new());
    let busy = format!(": {}; while :; do :; done", marker());
    let call = daemon.client().begin_run(&["sh", "-c", &busy]);
    await_start(&busy);
    let mut seen = Value::Null;
    eventually("half a second of processor time", || {
        seen = calls(&daemon).into_iter().next().unwrap_or_default();
        seen["cpu"].as_f64().is_some_and(|cpu| cpu >= 0.5)
    });
    assert_eq!((&seen["key"], &seen["tool"]), (&"alice".into(), &"shell_execute".into()));
    assert_eq!(seen["command"], serde_json::json!(["sh", "-c", busy]));
    assert_eq!(seen["processes"], 1);
    assert!(seen["memory"].as_u64().is_some_and(|bytes| bytes > 100_000), "{seen}");
    assert!(seen["age"].as_f64() >= seen["cpu"].as_f64(), "{seen}");
    let table = String::from_utf8(daemon.order(&["calls"]).stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("CALL  KEY") && lines[1].starts_with("1     alice"), "{table}");
    daemon.client().cancel(call);
    await_end(&busy);
    eventually("no call", || calls(&daemon).is_empty());
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn a_call_that_waits_for_its_turn_is_listed_and_spends_nothing() {
    let daemon = Setup::new().replace("timeout = \"10s\"", "timeout = \"10s\"\nconcurrent = 1").start();
    let (first, second) = (marker(), marker());
    let client = daemon.client();
    let running = client.begin_run(&["sleep", &first]);
    await_start(&first);
    let waiting = client.begin_run(&["sleep", &second]);
    eventually("two calls", || calls(&daemon).len() == 2);
    let seen = calls(&daemon);
    assert_eq!((&seen[1]["cpu"], &seen[1]["command"][1]), (&Value::Null, &second.clone().into()));
    assert!(seen[0]["cpu"].is_number(), "{seen:?}");
    assert_eq!((&seen[0]["state"], &seen[1]["state"]), (&"running".into(), &"waiting".into()));
    client.cancel(waiting);
    client.cancel(running);
    await_end(&first);
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn who_ended_a_call_that_waited_is_on_record_and_in_its_answer() {
    for era in ERAS {
        let daemon = Setup::new().replace("timeout = \"10s\"", "timeout = \"10s\"\nconcurrent = 1").start();
        let (first, client) = (marker(), daemon.client_of(era, ALICE));
        let running = client.begin_run(&["sleep", &first]);
        await_start(&first);
        let waiting = client.begin_run(&["echo", "never"]);
        eventually("two calls", || calls(&daemon).len() == 2);
        assert_eq!(daemon.order(&["stop", "2"]).status.code(), Some(0));
        let answer = waiting.answer();
        assert!(answer.refusal().contains("the operator of this host ended the call"), "{answer:?}");
        let event = daemon.log.await_event("its event", |event| event["outcome"] == "cancelled");
        assert_eq!((&event["decision"], &event["reason"]), (&"refused".into(), &"operator".into()));
        client.cancel(running);
        await_end(&first);
    }
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn root_ends_one_call_and_no_other() {
    for era in ERAS {
        let daemon = Daemon::start();
        let (alice, bob) = (daemon.client_of(era, ALICE), daemon.client_of(era, BOB));
        let (mine, his) = (marker(), marker());
        let call = alice.begin_run(&["echo", "begun", "&&", "sleep", &mine]);
        let other = bob.begin_run(&["sleep", &his]);
        await_start(&mine);
        await_start(&his);
        let id = calls(&daemon).iter().find(|call| call["key"] == "alice").unwrap()["call"].to_string();
        let output = daemon.order(&["stop", &id]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("call {id} has ended\n"), "{output:?}");
        let answer = call.answer();
        assert_eq!((answer.ended(), answer.stdout()), ("cancelled", "begun\n"));
        daemon.log.await_event("the event", |event| event["key"] == "alice" && event["reason"] == "operator");
        assert_eq!(daemon.order(&["stop", &id]).status.code(), Some(64));
        assert_eq!(calls(&daemon).len(), 1);
        bob.cancel(other);
        await_end(&his);
    }
}
