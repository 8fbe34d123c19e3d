//! What is told, when, and who is kept waiting by a client that does not read it.

use std::future::ready;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::Response;
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::testing::{House, answer, legacy, messages, modern, open_session};
use super::*;
use crate::exec::Source::Stdout;

/// Hears in no time, unless it is deaf, or never has done with hearing.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<(u128, Option<String>)>>,
    deaf: AtomicBool,
    slow: Option<Duration>,
}

impl Listener for Ear {
    fn listens(&self) -> bool {
        !self.deaf.load(Ordering::Relaxed)
    }

    fn tell(&self, progress: Progress) -> BoxFuture<'static, ()> {
        self.heard.lock().unwrap().push((progress.since.as_millis(), progress.message));
        self.slow.map_or_else(|| ready(()).boxed(), |slow| sleep(slow).boxed())
    }
}

impl Ear {
    fn heard(self) -> Vec<(u128, Option<String>)> {
        self.heard.into_inner().unwrap()
    }
}

/// Writes a number, counted up, at these times.
async fn writing(watch: &Watch, times: impl IntoIterator<Item = u64>) {
    let begun = Instant::now();
    for (number, time) in times.into_iter().enumerate() {
        tokio::time::sleep_until(begun + Duration::from_millis(time)).await;
        watch.show(Stdout, format!("{number}\n").as_bytes());
    }
}

fn said(millis: u128, message: &str) -> (u128, Option<String>) {
    (millis, Some(message.to_owned()))
}

fn line(bytes: &[u8]) -> Line {
    Line { bytes: bytes.to_vec(), whole: true }
}

#[test]
fn a_message_is_one_line_of_text_whatever_was_written() {
    assert_eq!(shown(&line("grüß dich".as_bytes())), "grüß dich");
    assert_eq!(shown(&line(b"\x1b[31m\xff\t\0")), "\\u001b[31m\u{fffd}\\u0009\\u0000");
    assert_eq!(shown(&line("é".repeat(201).as_bytes())), "é".repeat(200) + "…");
    assert_eq!(shown(&line("é".repeat(200).as_bytes())), "é".repeat(200));
    assert_eq!(shown(&Line { bytes: b"end".to_vec(), whole: false }), "…end");
}
#[tokio::test(start_paused = true)]
async fn the_newest_line_is_told_twice_a_second_and_nothing_once_the_work_is_done() {
    let (watch, ear) = (Watch::of_output(), Ear::default());
    telling(writing(&watch, (1..).step_by(10).take(130)), &watch, &ear).await;
    sleep(SILENCE * 2).await;
    assert_eq!(ear.heard(), [said(500, "49"), said(1000, "99")]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_soon_over_is_not_told_of() {
    let (watch, ear) = (Watch::of_output(), Ear::default());
    telling(writing(&watch, [1, 499]), &watch, &ear).await;
    assert_eq!(ear.heard(), []);
}

#[tokio::test(start_paused = true)]
async fn without_news_the_same_is_said_again_after_a_while() {
    let (watch, ear) = (Watch::of_output(), Ear::default());
    telling(writing(&watch, [10_100, 21_000]), &watch, &ear).await;
    assert_eq!(ear.heard(), [(10_000, None), said(10_500, "0"), said(20_500, "0")]);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_gives_way_to_what_is_newer() {
    let (watch, ear) = (Watch::of_output(), Ear { deaf: true.into(), ..Ear::default() });
    let hearing = async {
        sleep(Duration::from_millis(2250)).await;
        ear.deaf.store(false, Ordering::Relaxed);
    };
    tokio::join!(telling(writing(&watch, [100, 1100, 2100, 2600]), &watch, &ear), hearing);
    assert_eq!(ear.heard(), [said(2500, "2")]);
}

#[tokio::test(start_paused = true)]
async fn the_work_does_not_wait_for_a_slow_listener_but_its_answer_does() {
    let slow = Some(Duration::from_secs(60));
    let (watch, ear) = (Watch::of_output(), Ear { slow, ..Ear::default() });
    let begun = Instant::now();
    let work = async {
        writing(&watch, [100, 1000, 2000]).await;
        begun.elapsed().as_millis()
    };
    assert_eq!(telling(work, &watch, &ear).await, 2000);
    assert_eq!((begun.elapsed().as_millis(), ear.heard()), (60_500, vec![said(500, "0")]));
}

/// A call that counts aloud until it is stopped.
fn counting(token: &Value) -> Value {
    json!({"name": "shell_execute", "arguments": {"command": ["seq"]}, "_meta": {"progressToken": token}})
}

fn message(id: u32, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Longer than it takes to send more messages than a stream has room for.
const LONG: Duration = Duration::from_secs(60);

/// Has everything stopped after a while, and gives the token and the message of each that came before
/// the answer. Their progress must increase.
async fn told(house: &House, response: Response, after: Duration) -> Vec<(Value, Value)> {
    let stopping = async {
        sleep(after).await;
        house.door.stop.cancel();
        sleep(LONG).await;
    };
    let (mut heard, ()) = tokio::join!(messages(response), stopping);
    let answer = heard.pop().unwrap();
    assert_eq!(answer["result"]["structuredContent"]["ended"], "cancelled", "{answer}");
    let params = |mut message: Value| {
        assert_eq!(message["method"], "notifications/progress");
        let params = message["params"].take();
        (params["progress"].as_f64(), (params["progressToken"].clone(), params["message"].clone()))
    };
    let (progress, told): (Vec<_>, Vec<_>) = heard.into_iter().map(params).unzip();
    assert!(progress.is_sorted_by(|one, next| one < next), "{progress:?}");
    told
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_newer_era_is_told_of_in_a_stream_that_ends_with_its_answer() {
    let house = House::new();
    let response = house.send(modern("alice's key", "tools/call", counting(&json!(7)))).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let told = told(&house, response, Duration::from_millis(700)).await;
    assert_eq!(told, [(json!(7), json!("0")), (json!(7), json!("2"))]);
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_older_era_is_told_of_in_its_own_stream() {
    let house = House::new();
    let session = open_session(&house).await;
    let call = message(2, "tools/call", &counting(&json!("a")));
    let response = house.send(legacy("alice's key", Some(&session), &call)).await;
    let told = told(&house, response, Duration::from_millis(1200)).await;
    assert_eq!(told, [(json!("a"), json!("0")), (json!("a"), json!("2"))]);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_any_length_is_no_way_to_have_much_sent() {
    let house = House::new();
    let response = house.send(modern("alice's key", "tools/call", counting(&json!("x".repeat(257)))));
    let stopping = async {
        sleep(LONG).await;
        house.door.stop.cancel();
    };
    let (response, ()) = tokio::join!(response, stopping);
    assert_eq!(response.headers()["content-type"], "application/json");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_stops_nothing_else_in_its_session() {
    let house = House::new();
    let session = open_session(&house).await;
    let send = async |message: Value| house.send(legacy("alice's key", Some(&session), &message)).await;
    let unread = send(message(2, "tools/call", &counting(&json!("a")))).await;
    sleep(LONG).await;

    let ping = async { answer(send(message(3, "ping", &json!({}))).await).await };
    assert_eq!(timeout(LONG, ping).await.expect("the session goes on").1["id"], 3);
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}});
    assert_eq!(send(cancel).await.status(), 202);
    let echo = json!({"name": "shell_execute", "arguments": {"command": ["echo"]}});
    let echo = async { answer(send(message(4, "tools/call", &echo)).await).await };
    let (_, answered) =
        timeout(LONG, echo).await.expect("the turn of the call that is not read is free again");
    assert_eq!(answered["result"]["isError"], false);

    let heard: Vec<Value> =
        messages(unread).await.iter().map(|one| one["params"]["message"].clone()).collect();
    assert_eq!(heard, [json!("0")], "one message waits, and is not followed by an answer");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_read_ends_and_gives_its_turn_back_in_the_newer_era() {
    let house = House::new();
    let unread = house.send(modern("alice's key", "tools/call", counting(&json!(7)))).await;
    sleep(LONG).await;
    house.door.stop.cancel();
    sleep(LONG).await;
    let ended = "kernos_tool_calls_total{outcome=\"cancelled\",tool=\"shell_execute\"} 1";
    let measured = house.measured();
    assert!(measured.lines().any(|line| line == ended), "{ended} is missing in:\n{measured}");
    let (first, last) = {
        let heard = messages(unread).await;
        (heard[0]["params"]["message"].clone(), heard.last().unwrap()["result"]["isError"].clone())
    };
    assert_eq!((first, last), (json!("0"), json!(true)));
}
