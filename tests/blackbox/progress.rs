//! What a caller with a progress token hears while its call runs, in both eras.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, ERAS, Era, LEGACY};
use crate::daemon::Daemon;
use crate::policy::{ALICE, BOB};
use crate::processes::{await_end, await_start, marker};

/// Ten lines at once, a hundred times a second, for three seconds and more; each ten ends with a 9.
const CHATTY: &str =
    "i=0; while [ $i -lt 300 ]; do seq $((10 * i)) $((10 * i + 9)); i=$((i + 1)); sleep 0.01; done";

/// Text of a message, in characters.
const SHOWN: usize = 200;

#[test]
fn a_caller_hears_the_newest_line_of_a_thousand_a_second_at_most_twice_a_second() {
    let daemon = Daemon::start();
    for era in ERAS {
        let begun = Instant::now();
        let call = daemon.client_of(era, ALICE).begin_told(&["sh", "-c", CHATTY], json!("token-1"));
        let heard = call.heard.clone();
        let answer = call.answer();
        let took = begun.elapsed().as_secs_f64();
        assert_eq!(answer.status(), 0, "{era:?}: {answer:?}");

        let told = heard.progress();
        let messages = heard.messages();
        let is_answer = |message: &Value| message.get("result").is_some();
        assert_eq!(told.len() + 1, messages.len(), "{era:?}: {messages:?}");
        assert!(is_answer(&messages[told.len()].1), "{era:?}: the answer is the last: {messages:?}");
        assert!(told.len() >= 3, "{era:?}: {told:?}");
        assert!(f64::from(u32::try_from(told.len()).unwrap()) <= took * 2.0, "{era:?}: {told:?} in {took} s");

        let seconds: Vec<f64> = told.iter().map(|one| one["progress"].as_f64().unwrap()).collect();
        assert!(seconds.windows(2).all(|pair| pair[1] - pair[0] >= 0.499), "{era:?}: {seconds:?}");
        let numbers: Vec<u32> =
            told.iter().map(|one| one["message"].as_str().unwrap().parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{era:?}: {numbers:?}");
        assert!(numbers.iter().all(|number| number % 10 == 9), "the newest of its ten, {era:?}: {numbers:?}");
        for one in &told {
            assert_eq!((&one["progressToken"], one.get("total")), (&json!("token-1"), None), "{era:?}");
        }
    }
}

#[test]
fn a_caller_without_a_token_hears_nothing_but_the_answer() {
    let daemon = Daemon::start();
    let line = ["sh", "-c", "echo one; sleep 1.2; echo two"];
    for era in ERAS {
        let call = daemon.client_of(era, ALICE).begin_run(&line);
        let heard = call.heard.clone();
        let reply = call.finish().unwrap();
        assert_eq!(reply.answer().printed(), ("one\ntwo\n", 0), "{era:?}");
        let (kind, streamed) = match era {
            Era::Modern => ("application/json", 0),
            Era::Legacy => ("text/event-stream", 1),
        };
        assert_eq!((&*reply.header("content-type"), heard.messages().len()), (kind, streamed), "{era:?}");
    }
}

#[test]
fn a_call_that_is_soon_over_is_answered_as_plain_json_though_it_has_a_token() {
    let reply = Daemon::start().client().begin_told(&["echo", "x"], json!(1)).finish().unwrap();
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.answer().printed(), ("x\n", 0));
}

#[test]
fn whatever_is_written_a_message_is_one_line_of_bounded_text() {
    let daemon = Daemon::start();
    for (script, expected) in [
        (r"printf 'a\033[31m\377\000b\n'", "a\\u001b[31m\u{fffd}\\u0000b".to_owned()),
        ("head -c 3000000 /dev/zero; echo end; echo", "…".to_owned() + &"\\u0000".repeat(33) + "\\u…"),
        ("printf 'grüß dich\\n' >&2; printf 'not ended'", "grüß dich".to_owned()),
        ("printf '10%%\\r20%%\\r'", "20%".to_owned()),
    ] {
        let script = format!("{script}; sleep 0.8");
        for era in ERAS {
            let call = daemon.client_of(era, ALICE).begin_told(&["sh", "-c", &script], json!(0));
            let heard = call.heard.clone();
            call.answer();
            let messages: Vec<Value> = heard.progress().iter().map(|one| one["message"].clone()).collect();
            assert_eq!(messages, [json!(expected)], "{era:?}: {script}");
            assert!(expected.chars().count() <= SHOWN + 2);
        }
    }
}

#[test]
fn nothing_is_told_of_a_call_that_has_been_answered() {
    let daemon = Daemon::start();
    let client = daemon.client_of(Era::Legacy, ALICE);
    let elsewhere = client.listen();
    let script = "i=0; while sleep 0.1; do i=$((i + 1)); echo $i; done & sleep 1.6; kill $!";
    let call = client.begin_told(&["sh", "-c", script], json!(1));
    let heard = call.heard.clone();
    call.answer();
    let told = heard.progress().len();
    assert!(told >= 2, "{heard:?}");
    thread::sleep(Duration::from_millis(1200));
    assert_eq!((heard.progress().len(), elsewhere.messages()), (told, vec![]));
}

#[test]
fn a_client_that_does_not_read_keeps_nobody_waiting() {
    let daemon = Daemon::start();
    let client = daemon.client_of(Era::Legacy, ALICE);
    let seconds = marker();
    let script = format!("{CHATTY}; sleep {seconds}");
    let _unread = post_and_do_not_read(&daemon, &client, 77, &["sh", "-c", &script]);
    await_start(&seconds);

    for other in [daemon.client_of(Era::Legacy, ALICE), daemon.client_of(Era::Modern, BOB)] {
        assert_eq!(other.run(&["echo", "other"]).printed(), ("other\n", 0));
    }
    let call = client.begin_told(&["sh", "-c", "echo same; sleep 0.8"], json!("another"));
    let heard = call.heard.clone();
    assert_eq!(call.answer().printed(), ("same\n", 0));
    assert_eq!(heard.progress().len(), 1, "{heard:?}");

    client.notify("notifications/cancelled", json!({ "requestId": 77 }));
    await_end(&seconds);
    daemon.log.await_event("the event of the call that was not read", |event| {
        event["outcome"] == "cancelled" && event["command"].to_string().contains(&seconds)
    });
}

/// Sends a call in the client's session with a token over a connection of its own, which is left alone.
fn post_and_do_not_read(daemon: &Daemon, client: &Client, id: u32, words: &[&str]) -> TcpStream {
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
        "name": "shell_execute", "arguments": { "command": words }, "_meta": { "progressToken": id },
    }});
    let (body, session) = (call.to_string(), client.session.as_deref().expect("it has a session"));
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ALICE}\r\nMcp-Session-Id: {session}\r\n\
         MCP-Protocol-Version: {LEGACY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = TcpStream::connect(daemon.address()).unwrap();
    connection.write_all((head + &body).as_bytes()).unwrap();
    connection
}
