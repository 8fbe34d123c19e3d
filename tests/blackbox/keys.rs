//! Who may call: keys, and the answers to those who have none.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::client::{Client, ERAS, Era, Reply, plain};
use crate::daemon::{Daemon, Setup};
use crate::policy::{ALICE, digest};
use crate::processes::{await_end, await_start, marker, with_argument};

#[test]
fn a_key_may_come_in_a_header_of_its_own() {
    let daemon = Daemon::start();
    for era in ERAS {
        let mut client = Client::without_key(&daemon.url("/mcp"), era).header("x-api-key", ALICE);
        if era == Era::Legacy {
            client.initialize();
        }
        assert_eq!(client.run(&["echo", "hello"]).printed(), ("hello\n", 0), "{era:?}");
    }
}

#[test]
fn every_wrong_key_gets_the_same_answer() {
    let daemon = Daemon::start();
    let url = daemon.url("/mcp");
    let nearly = format!("{ALICE}x");
    let wrong = [
        ("authorization", "Bearer wrong".to_owned()),
        ("authorization", format!("Bearer {nearly}")),
        ("authorization", format!("Bearer {}", digest(ALICE))),
        ("x-api-key", nearly),
    ];
    let replies = wrong.map(|(name, value)| {
        let reply =
            Client::without_key(&url, Era::Modern).header(name, &value).request("tools/list", json!({}));
        (reply.status, reply.header("www-authenticate"), reply.body)
    });
    assert_eq!(replies[0].0, StatusCode::UNAUTHORIZED);
    assert!(replies[0].1.starts_with("Bearer"), "{replies:?}");
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    assert!(
        !daemon.log.whole().contains("wrong\""),
        "a presented key is in the log:\n{}",
        daemon.log.whole()
    );
}

#[test]
fn a_missing_key_is_told_how_to_present_one() {
    let daemon = Daemon::start();
    let reply = Client::without_key(&daemon.url("/mcp"), Era::Modern).request("tools/list", json!({}));
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"kernos\"");
}

#[test]
fn an_empty_key_is_answered_as_none() {
    let daemon = Daemon::start();
    let bare = || Client::without_key(&daemon.url("/mcp"), Era::Modern);
    let missing = comparable(&bare().request("tools/list", json!({})));
    for (name, value) in [("x-api-key", ""), ("authorization", "Bearer "), ("authorization", "Bearer")] {
        assert_eq!(
            comparable(&bare().header(name, value).request("tools/list", json!({}))),
            missing,
            "{name}"
        );
    }
}

#[test]
fn a_key_in_the_query_is_no_key() {
    let daemon = Daemon::start();
    let url = daemon.url(&format!("/mcp?api_key={ALICE}&key={ALICE}&access_token={ALICE}"));
    let reply = Client::without_key(&url, Era::Modern).request("tools/list", json!({}));
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[test]
fn an_expired_key_is_a_wrong_key() {
    let key = "kernos_test_late_0123456789abcdef";
    let table =
        format!("[key.late]\nsha256 = \"{}\"\nprofile = \"dev\"\nexpires = 2020-01-01\n", digest(key));
    let daemon = Setup::new().append(&table).start();
    let list = |key: &str| {
        let client = Client::without_key(&daemon.url("/mcp"), Era::Modern).header("x-api-key", key);
        comparable(&client.request("tools/list", json!({})))
    };
    assert_eq!(list(key), list("wrong"));
}

#[test]
fn a_key_from_another_network_is_a_wrong_key() {
    let key = "kernos_test_afar_0123456789abcdef";
    let table =
        format!("[key.afar]\nsha256 = \"{}\"\nprofile = \"dev\"\nfrom = [\"192.0.2.0/24\"]\n", digest(key));
    let daemon = Setup::new().append(&table).start();
    let client = Client::without_key(&daemon.url("/mcp"), Era::Modern).header("x-api-key", key);
    assert_eq!(client.request("tools/list", json!({})).status, StatusCode::UNAUTHORIZED);
}

#[test]
fn open_access_is_what_the_policy_says_and_no_more() {
    let daemon = Setup::new().append("[anonymous]\nprofile = \"dev\"\n").start();
    let anyone = Client::without_key(&daemon.url("/mcp"), Era::Modern);
    assert_eq!(anyone.run(&["echo", "open"]).stdout(), "open\n");
    let forwarded =
        Client::without_key(&daemon.url("/mcp"), Era::Modern).header("x-forwarded-for", "192.0.2.7");
    assert_eq!(forwarded.request("tools/list", json!({})).status, StatusCode::UNAUTHORIZED);
    let wrong = Client::without_key(&daemon.url("/mcp"), Era::Modern).header("x-api-key", "wrong");
    assert_eq!(wrong.request("tools/list", json!({})).status, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_rate_is_kept_and_told() {
    let daemon = Setup::new()
        .replace("tools = [\"shell_execute\"]", "tools = [\"shell_execute\"]\nrate = \"3/min\"")
        .start();
    let client = daemon.client();
    let calls: Vec<Reply> = (0..4)
        .map(|_| {
            client.request(
                "tools/call",
                json!({ "name": "shell_execute", "arguments": { "command": ["true"] } }),
            )
        })
        .collect();
    assert!(calls[..3].iter().all(|reply| !reply.answer().is_error), "{calls:?}");
    let refused = calls[3].answer();
    assert_eq!(refused.refusal(), "this key may make 3 calls in 60 s: try again in 20 s");
}

#[test]
fn calls_beyond_the_limit_wait_for_their_turn() {
    let daemon = Setup::new().replace("[limits]", "[limits]\nconcurrent = 1").start();
    let client = daemon.client();
    let script = "test ! -e busy && touch busy && sleep 0.2 && rm busy && echo alone";
    let calls = [(); 3].map(|()| client.begin_run(&["sh", "-c", script]));
    assert_eq!(calls.map(|call| call.answer().stdout().to_owned()), ["alone\n"; 3]);
}

#[test]
fn a_denial_waits_for_no_turn_and_a_call_that_was_taken_back_is_no_denial() {
    let daemon = Setup::new().replace("[limits]", "[limits]\nconcurrent = 1").start();
    let client = daemon.client();
    let seconds = marker();
    let running = client.begin_run(&["sleep", &seconds]);
    await_start(&seconds);
    let denial = client.run(&["no-such-command"]);
    assert!(denial.refusal().contains("is not a command of this key"), "{denial:?}");
    assert_eq!(with_argument(&seconds).len(), 1, "the call before it still runs");

    let waiting = client.begin_run(&["echo", "waiting"]);
    std::thread::sleep(std::time::Duration::from_millis(200));
    client.cancel(waiting);
    let event = daemon
        .log
        .await_event("the event of the call that waited", |event| event.to_string().contains("waiting"));
    assert_eq!((&event["outcome"], &event["reason"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(event["rule"], "echo");
    client.cancel(running);
    await_end(&seconds);
}

#[test]
fn more_input_than_the_policy_allows_is_refused_with_the_figure() {
    let daemon = Setup::new().replace("[limits]", "[limits]\nstdin = \"4KiB\"").start();
    let answer = daemon.client().feed(&["cat"], &"x".repeat(4097));
    assert!(answer.refusal().contains("4096"), "{answer:?}");
    assert_eq!(daemon.client().feed(&["wc", "-c"], &"x".repeat(4096)).printed(), ("4096\n", 0));
}

#[test]
fn what_is_not_the_endpoint_asks_for_no_key() {
    let daemon = Daemon::start();
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server/mcp",
        "/",
        "/nothing",
    ] {
        let reply = plain(Method::GET, &daemon.url(path), &[]);
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!reply.headers.contains_key("www-authenticate"), "{path}");
    }
}

fn comparable(reply: &Reply) -> (StatusCode, String, String) {
    (reply.status, reply.header("www-authenticate"), reply.body.clone())
}
