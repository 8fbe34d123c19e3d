//! Both eras of the protocol on one endpoint.

use reqwest::StatusCode;
use serde_json::json;

use crate::client::{Client, ERAS, Era, LEGACY, MODERN};
use crate::daemon::Daemon;
use crate::policy::{ALICE, BOB, IDLE};

#[test]
fn both_eras_list_the_same_tools() {
    let daemon = Daemon::start();
    let [modern, legacy] = ERAS.map(|era| daemon.client_of(era, ALICE).tools());
    assert_eq!(modern, legacy);
    assert_eq!(names(&modern), ["shell_execute"]);
}

#[test]
fn both_eras_call_a_tool() {
    let daemon = Daemon::start();
    for era in ERAS {
        let answer = daemon.client_of(era, ALICE).run(&["echo", "hello", "|", "cat", "-n"]);
        assert_eq!(answer.printed(), ("     1\thello\n", 0), "{era:?}");
    }
}

#[test]
fn the_text_of_an_answer_is_its_structured_content() {
    let daemon = Daemon::start();
    let answer = daemon.client().run(&["echo", "hello"]);
    let text: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
    assert_eq!(text, answer.structured);
}

#[test]
fn the_tool_says_what_it_is_and_what_this_key_may_run() {
    let daemon = Daemon::start();
    let tools = daemon.client().tools();
    let tool = &tools[0];
    assert!(tool["title"].is_string(), "{tool}");
    let description = tool["description"].as_str().expect("a description");
    for said in ["cat", "sleep", daemon.work().to_str().unwrap()] {
        assert!(description.contains(said), "nothing of {said} in {description}");
    }
    assert_eq!(tool["inputSchema"]["required"], json!(["command"]));
    assert!(tool["outputSchema"]["properties"]["stdout"].is_object(), "{tool}");
    for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
        assert!(tool["annotations"][hint].is_boolean(), "no {hint} in {tool}");
    }
}

#[test]
fn a_newer_revision_is_answered_with_one_that_is_spoken() {
    let daemon = Daemon::start();
    let mut client = Client::without_key(&daemon.url("/mcp"), Era::Legacy).header("x-api-key", ALICE);
    let result = client.initialize().result();
    assert_eq!(result["protocolVersion"], LEGACY);
    assert_eq!(result["serverInfo"]["name"], "kernos");
}

#[test]
fn the_modern_era_discovers_the_server() {
    let daemon = Daemon::start();
    let result = daemon.client().request("server/discover", json!({})).result();
    let versions = result["supportedVersions"].as_array().expect("a list");
    assert!(versions.contains(&json!(MODERN)) && versions.contains(&json!(LEGACY)), "{result}");
    assert!(result["capabilities"]["tools"].is_object(), "{result}");
}

#[test]
fn a_trailing_slash_is_the_same_endpoint_without_a_redirect() {
    let daemon = Daemon::start();
    for era in ERAS {
        let client = Client::connect(&daemon.url("/mcp/"), era, ALICE);
        assert_eq!(client.run(&["echo", "slash"]).stdout(), "slash\n", "{era:?}");
    }
}

#[test]
fn unknown_and_ungranted_tools_look_the_same() {
    let daemon = Daemon::start();
    for era in ERAS {
        let client = daemon.client_of(era, IDLE);
        assert_eq!(names(&client.tools()), [""; 0], "{era:?}");
        let [unknown, ungranted] = ["no_such_tool", "shell_execute"].map(|tool| {
            let reply =
                client.request("tools/call", json!({ "name": tool, "arguments": { "command": ["true"] } }));
            let (code, text) = reply.error();
            (reply.status, code, text.replace(tool, "TOOL"))
        });
        assert_eq!(unknown, ungranted, "{era:?}");
        assert_eq!(unknown.1, -32602, "{era:?}");
    }
}

#[test]
fn a_session_is_bound_to_the_key_that_opened_it() {
    let daemon = Daemon::start();
    let alice = daemon.client_of(Era::Legacy, ALICE);
    let mut thief = Client::without_key(&daemon.url("/mcp"), Era::Legacy).header("x-api-key", BOB);
    thief.session.clone_from(&alice.session);
    let stolen = thief.request("tools/list", json!({}));
    thief.session = Some("00000000-0000-4000-8000-000000000000".to_owned());
    let unknown = thief.request("tools/list", json!({}));
    assert_eq!((stolen.status, &stolen.body), (StatusCode::NOT_FOUND, &unknown.body));
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(alice.run(&["echo", "mine"]).stdout(), "mine\n");
}

#[test]
fn arguments_of_the_wrong_shape_are_refused_by_name() {
    let daemon = Daemon::start();
    let client = daemon.client();
    for (arguments, named) in [
        (json!({}), "command"),
        (json!({ "command": null }), "command"),
        (json!({ "command": "ls -l" }), "command"),
        (json!({ "command": [] }), "command"),
        (json!({ "command": ["true"], "timeout": 0 }), "timeout"),
        (json!({ "command": ["true"], "timeout": "soon" }), "timeout"),
        (json!({ "command": ["true"], "shell": true }), "shell"),
    ] {
        let answer = client.call("shell_execute", arguments.clone());
        assert!(answer.refusal().contains(named), "{arguments}: nothing of {named} in {answer:?}");
    }
}

fn names(tools: &[serde_json::Value]) -> Vec<&str> {
    tools.iter().filter_map(|tool| tool["name"].as_str()).collect()
}
