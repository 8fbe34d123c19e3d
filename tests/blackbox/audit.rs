//! The record: one event a decision, with nothing in it that must not be there.

use serde_json::{Value, json};

use crate::client::{Client, ERAS, Era};
use crate::daemon::Daemon;
use crate::policy::ALICE;

#[test]
fn the_request_id_of_an_answer_is_that_of_its_event() {
    let daemon = Daemon::start();
    let allowed = daemon.client().run(&["echo", "on-record"]);
    let denied = daemon.client().run(&["rm", "on-record"]);
    assert_ne!(allowed.request_id, denied.request_id);
    let event = event_of(&daemon, &allowed.request_id);
    assert_eq!(event["key"], "alice");
    assert_eq!(event["tool"], "shell_execute");
    assert_eq!(event["decision"], "allowed");
    assert_eq!(event["status"], 0);
    assert!(event["command"].to_string().contains("on-record"), "{event}");
    let event = event_of(&daemon, &denied.request_id);
    assert_eq!(event["decision"], "denied");
}

#[test]
fn every_event_carries_the_next_number() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let numbers = [(); 3].map(|()| {
        let id = client.run(&["true"]).request_id;
        event_of(&daemon, &id)["seq"].as_u64().expect("a number")
    });
    assert_eq!(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2]);
}

#[test]
fn control_characters_are_escaped_and_a_long_command_is_cut() {
    let daemon = Daemon::start();
    let id = daemon.client().run(&["echo", "a\nb\u{1b}[31m", &"x".repeat(100_000)]).request_id;
    let event = event_of(&daemon, &id);
    let command = event["command"].as_str().expect("text");
    assert!(!command.contains(['\n', '\u{1b}']), "{command:.200}");
    assert!(command.len() < 20_000, "{} bytes", command.len());
}

#[test]
fn neither_a_key_nor_an_output_is_in_the_log() {
    let daemon = Daemon::start();
    daemon.client().run(&["printf", "%s%s", "out", "put-of-a-command"]);
    let stranger =
        Client::without_key(&daemon.url("/mcp"), Era::Modern).header("x-api-key", "a-wrong-key-7f3a");
    stranger.request("tools/list", serde_json::json!({}));
    let log = daemon.log.whole();
    for secret in [ALICE, "a-wrong-key-7f3a", "output-of-a-command"] {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}

#[test]
fn the_trace_of_a_caller_is_on_record_and_nothing_else_that_it_writes_there() {
    let daemon = Daemon::start();
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let valid = format!("00-{trace}-{parent}-01");
    let ids = |event: &Value| (event["trace_id"].clone(), event["parent_id"].clone());
    for era in ERAS {
        let header = daemon.client_of(era, ALICE).header("traceparent", &valid);
        let id = header.run(&["true"]).request_id;
        assert_eq!(ids(&event_of(&daemon, &id)), (json!(trace), json!(parent)), "{era:?}");

        let (trace, parent) = ("0123456789abcdef0123456789abcdef", "0123456789abcdef");
        let call = json!({
            "name": "shell_execute", "arguments": { "command": ["true"] },
            "_meta": { "traceparent": format!("00-{trace}-{parent}-00") },
        });
        let id = header.request("tools/call", call).answer().request_id;
        let expected = (json!(trace), json!(parent));
        assert_eq!(ids(&event_of(&daemon, &id)), expected, "{era:?}: the call's own comes first");

        let id = daemon
            .client_of(era, ALICE)
            .header("traceparent", &valid.to_uppercase())
            .run(&["true"])
            .request_id;
        assert_eq!(ids(&event_of(&daemon, &id)), (Value::Null, Value::Null), "{era:?}: not valid");
    }
}

fn event_of(daemon: &Daemon, request_id: &str) -> Value {
    daemon.log.await_event(&format!("an event of request {request_id}"), |event| {
        event["request_id"] == request_id && event["decision"].is_string()
    })
}
