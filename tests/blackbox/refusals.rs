//! Whoever is turned away again and again: told to wait, and told in few events.

use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Client, Era, plain};
use crate::daemon::Daemon;
use crate::policy::BOB;
use crate::processes::eventually;

#[test]
fn wrong_keys_in_haste_are_told_to_wait_and_a_right_key_from_there_is_served() {
    let daemon = Daemon::start();
    let stranger = Client::without_key(&daemon.url("/mcp"), Era::Modern).header("x-api-key", "wrong");
    let replies: Vec<_> = (0..70).map(|_| stranger.request("tools/list", json!({}))).collect();
    assert!(replies[..60].iter().all(|reply| reply.status == StatusCode::UNAUTHORIZED));
    let refused = replies.iter().find(|reply| reply.status == StatusCode::TOO_MANY_REQUESTS);
    let refused = refused.expect("70 keys take less than ten seconds");
    assert!(refused.header("retry-after").parse::<u64>().expect("seconds") >= 1);
    assert_eq!(refused.json()["error"]["code"], -32600);
    assert_eq!(daemon.client().run(&["echo", "served"]).stdout(), "served\n");
    let metrics = plain(Method::GET, &daemon.url("/metrics"), &[]).body;
    let too_many = replies.iter().filter(|reply| reply.status == StatusCode::TOO_MANY_REQUESTS).count();
    for line in [
        format!("kernos_auth_failures_total{{reason=\"too-many\"}} {too_many}"),
        format!("kernos_auth_failures_total{{reason=\"unknown\"}} {}", 70 - too_many),
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} is missing in\n{metrics}");
    }
}

#[test]
fn a_flood_of_wrong_keys_is_a_few_events_that_count_them_all() {
    let daemon = Daemon::start();
    let stranger = Client::without_key(&daemon.url("/mcp"), Era::Modern).header("x-api-key", "wrong");
    (0..200).for_each(|_| drop(stranger.request("tools/list", json!({}))));
    let mut told = Vec::new();
    eventually("an event for each refusal, or for several", || {
        told = refusals(&daemon);
        told.iter().map(|event| event["count"].as_u64().unwrap_or(1)).sum::<u64>() == 200
    });
    assert!(told.len() < 100, "{} events", told.len());
    let first = &told[0];
    assert_eq!((&first["reason"], &first["from"]), (&json!("unknown"), &json!("127.0.0.1")));
    assert!(first["request_id"].is_string() && first["count"].is_null(), "{first}");
    let folded = told.iter().find(|event| event["count"].is_u64()).expect("200 take less than 100 seconds");
    assert!(folded["request_id"].is_null() && folded["from"] == "127.0.0.1", "{folded}");
}

#[test]
fn refusals_that_were_only_counted_are_told_when_kernos_ends() {
    let mut daemon = Daemon::start();
    let stranger = Client::without_key(&daemon.url("/mcp"), Era::Modern).header("x-api-key", "wrong");
    (0..20).for_each(|_| drop(stranger.request("tools/list", json!({}))));
    daemon.signal(Signal::SIGTERM);
    daemon.await_exit();
    let told = refusals(&daemon);
    assert_eq!(told.iter().map(|event| event["count"].as_u64().unwrap_or(1)).sum::<u64>(), 20, "{told:?}");
}

#[test]
fn a_foreign_host_a_foreign_page_and_a_foreign_session_are_on_record() {
    let daemon = Daemon::start();
    let owner = daemon.client_of(Era::Legacy, BOB);
    let session = owner.session.clone().expect("it has one");
    let mut thief = daemon.client_of(Era::Legacy, crate::policy::ALICE);
    thief.session = Some(session);
    assert_eq!(thief.request("ping", json!({})).status, StatusCode::NOT_FOUND);
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let stranger = Client::without_key(&daemon.url("/mcp"), Era::Modern).header(name, value);
        assert_eq!(stranger.request("tools/list", json!({})).status, StatusCode::FORBIDDEN);
    }
    for (reason, key) in [("session", json!("alice")), ("host", Value::Null), ("origin", Value::Null)] {
        let event = daemon.log.await_event(reason, |event| event["reason"] == reason);
        assert_eq!((&event["decision"], &event["key"]), (&json!("refused"), &key));
    }
}

fn refusals(daemon: &Daemon) -> Vec<Value> {
    daemon.log.events().into_iter().filter(|event| event["decision"] == "refused").collect()
}
