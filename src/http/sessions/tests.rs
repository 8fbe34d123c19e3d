//! Sessions as their keys have them.

use futures::future::join_all;
use std::time::Instant;

use futures::{FutureExt, StreamExt};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;
use crate::http::testing::{self, House, answer, initialize, legacy, modern, open_session};

fn owner(key: &str) -> Caller {
    testing::caller(&testing::policy(&testing::alice()), key)
}

async fn opened() -> (Sessions, Id) {
    let sessions = Sessions::new(IntGauge::new("sessions", "Sessions.").unwrap());
    let id = sessions.open().await;
    (sessions, id)
}

#[tokio::test]
async fn a_session_belongs_to_the_key_that_opened_it_and_to_no_other() {
    let (sessions, id) = opened().await;
    let (alice, bob) = (owner("alice's key"), owner("bob's key"));
    assert!(sessions.enter(&id, &alice).is_none(), "nobody's yet");
    sessions.bind(&id, &alice).unwrap();
    sessions.bind(&id, &bob).unwrap();
    assert!(sessions.enter(&id, &alice).is_some() && sessions.enter(&id, &bob).is_none());
    assert!(sessions.enter("another", &alice).is_none());
    assert!(sessions.belongs_to_another(&id, &bob) && !sessions.belongs_to_another(&id, &alice));
    assert!(!sessions.belongs_to_another("another", &bob));
}

#[tokio::test]
async fn a_session_that_was_taken_from_its_owner_is_nobodys_for_ever() {
    let (sessions, id) = opened().await;
    let (alice, bob) = (owner("alice's key"), owner("bob's key"));
    sessions.bind(&id, &alice).unwrap();
    assert_eq!(sessions.disown(|caller| caller.principal.name() == "bob"), []);
    assert_eq!(sessions.disown(|caller| caller.principal.name() == "alice"), [Arc::clone(&id)]);
    sessions.bind(&id, &alice).unwrap();
    sessions.bind(&id, &bob).unwrap();
    assert!(sessions.enter(&id, &alice).is_none() && sessions.enter(&id, &bob).is_none());
}

#[tokio::test]
async fn a_key_has_only_its_share_of_the_sessions() {
    let (sessions, last) = opened().await;
    let (alice, bob) = (owner("alice's key"), owner("bob's key"));
    for _ in 0..OF_A_KEY_MAX {
        sessions.bind(&sessions.open().await, &alice).unwrap();
    }
    assert_eq!(sessions.bind(&last, &alice), Err(TooMany::OfKey));
    assert_eq!(sessions.bind(&last, &bob), Ok(()), "another key has a share of its own");
}

#[tokio::test]
async fn an_idle_session_is_ended_but_never_one_that_is_in_use() {
    let (sessions, id) = opened().await;
    let held = sessions.hold(&id).unwrap();
    sessions.reap(Duration::ZERO).await;
    assert_eq!(sessions.count.get(), 1);
    drop(held);
    sessions.reap(Duration::from_secs(60)).await;
    assert_eq!(sessions.count.get(), 1);
    sessions.reap(Duration::ZERO).await;
    assert_eq!((sessions.count.get(), sessions.len()), (0, 0));
}

const LIST: &str = "tools/list";

fn request(id: usize, method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method})
}

/// A message of the older era under the name of the newer one.
fn in_disguise(message: &Value) -> http::Request<axum::body::Body> {
    let mut message = message.clone();
    message["params"]["protocolVersion"] = "2026-07-28".into();
    let mut request = legacy("alice's key", None, &message);
    request.headers_mut().insert("mcp-protocol-version", "2026-07-28".parse().unwrap());
    request
}

async fn status(house: &House, id: &str, method: &str) -> StatusCode {
    house.send(legacy("alice's key", Some(id), &request(7, method))).await.status()
}

fn awake(house: &House) -> usize {
    house.sessions.such(Session::is_awake).len()
}

#[tokio::test]
async fn a_session_that_sleeps_wakes_for_the_next_request_as_often_as_it_is_needed() {
    let house = House::new();
    let id = open_session(&house).await;
    for _ in 0..3 {
        house.sessions.rest(0, Duration::ZERO).await;
        assert_eq!(awake(&house), 0);
        let answers = (0..8).map(|nth| house.send(legacy("alice's key", Some(&id), &request(nth, LIST))));
        for response in join_all(answers).await {
            let (status, body) = answer(response).await;
            assert_eq!((status, &body["result"]["tools"][0]["name"]), (200, &json!("shell_execute")));
        }
        assert_eq!(awake(&house), 1);
    }
    assert_eq!(house.sessions.len(), 1);
}

#[tokio::test]
async fn of_many_sessions_few_are_awake_and_all_can_be_used() {
    let house = House::new();
    let mut ids = Vec::new();
    for _ in 0..AWAKE_MAX * 2 {
        ids.push(open_session(&house).await);
    }
    for id in &ids {
        assert_eq!(status(&house, id, LIST).await, 200);
        assert!(awake(&house) <= AWAKE_MAX + 1, "{} are awake", awake(&house));
    }
    assert_eq!(house.sessions.len(), ids.len());
}

#[tokio::test]
async fn a_session_that_sleeps_is_ended_like_any_other() {
    let house = House::new();
    let id = open_session(&house).await;
    house.sessions.rest(0, Duration::ZERO).await;
    let mut end = legacy("alice's key", Some(&id), &json!({}));
    *end.method_mut() = Method::DELETE;
    assert_eq!(house.send(end).await.status(), 204);
    assert_eq!(status(&house, &id, LIST).await, 404);
    assert!(house.measured().contains("kernos_sessions 0\n"));
}

#[tokio::test]
async fn no_session_sleeps_while_its_call_runs_though_the_client_has_gone() {
    let house = House::new();
    let id = open_session(&house).await;
    let call = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": {
        "name": "shell_execute", "arguments": {"command": ["sleep"]},
    }});
    drop(house.send(legacy("alice's key", Some(&id), &call)).await);
    while house.door.running.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.sessions.rest(0, Duration::ZERO).await;
    house.sessions.reap(Duration::ZERO).await;
    assert_eq!((awake(&house), house.door.running.calls().len()), (1, 1));
    assert_eq!(status(&house, &id, "ping").await, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_while_a_session_wakes_leaves_it_whole() {
    let house = House::new();
    let id = open_session(&house).await;
    for _ in 0..20 {
        house.sessions.rest(0, Duration::ZERO).await;
        // As far as the first wait, and no further.
        let _ = house.at_home(legacy("alice's key", Some(&id), &request(6, "ping"))).now_or_never();
        assert_eq!(status(&house, &id, LIST).await, 200);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_opens_sessions_takes_from_its_own_share() {
    let house = House::new();
    for nth in 0..MAX * 2 {
        let opening = initialize();
        let opening =
            if nth % 16 < 8 { legacy("alice's key", None, &opening) } else { in_disguise(&opening) };
        let mut answer = Box::pin(house.at_home(opening));
        for _ in 0..nth % 8 {
            if (&mut answer).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let begun = Instant::now();
    while !house.sessions.such(|session| !session.is_owned()).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "there are sessions of nobody");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(house.sessions.len() <= OF_A_KEY_MAX, "{} are open", house.sessions.len());
    assert_eq!(house.send(legacy("bob's key", None, &initialize())).await.status(), 200);
}

async fn listen(house: &House, id: &str, accept: &str, last: Option<&str>) -> axum::response::Response {
    let mut request = legacy("alice's key", Some(id), &json!({}));
    *request.method_mut() = Method::GET;
    request.headers_mut().insert("accept", accept.parse().unwrap());
    if let Some(last) = last {
        request.headers_mut().insert("last-event-id", last.parse().unwrap());
    }
    house.send(request).await
}

#[tokio::test]
async fn however_a_standing_stream_is_asked_for_it_is_that_one() {
    let house = House::new();
    let id = open_session(&house).await;
    let mut before = standing(&house, &id).await;
    for (accept, last) in [("Text/Event-Stream", None), ("text/event-stream", Some("0"))] {
        let next = listen(&house, &id, accept, last).await;
        assert_eq!(next.status(), 200);
        before.by_ref().collect::<Vec<_>>().await;
        before = http_body_util::BodyDataStream::new(next.into_body());
        house.sessions.rest(0, Duration::ZERO).await;
        assert_eq!(awake(&house), 0);
    }
    assert_eq!(listen(&house, &id, "application/json", None).await.status(), 406);
}

#[tokio::test]
async fn a_stream_of_before_a_sleep_is_taken_for_no_other() {
    let house = House::new();
    let id = open_session(&house).await;
    let call = |nth, command| {
        legacy(
            "alice's key",
            Some(&id),
            &json!({"jsonrpc": "2.0", "id": nth, "method": "tools/call", "params": {
                "name": "shell_execute", "arguments": {"command": [command]},
            }}),
        )
    };
    let ended = house.send(call(1, "echo")).await.into_body().collect().await.unwrap().to_bytes();
    let ended = String::from_utf8(ended.to_vec()).unwrap();
    let event = ended.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    house.sessions.rest(0, Duration::ZERO).await;

    let running = tokio::spawn(house.at_home(call(2, "sleep")).then(answer));
    while house.door.running.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let nothing = listen(&house, &id, "text/event-stream", Some(event)).await.into_body().collect();
    let nothing = tokio::time::timeout(Duration::from_secs(5), nothing).await.expect("it takes up nothing");
    assert_eq!(nothing.unwrap().to_bytes(), "");
    assert!(!running.is_finished(), "{event} was taken for its stream");
    running.abort();
}

async fn standing(house: &House, id: &str) -> http_body_util::BodyDataStream<axum::body::Body> {
    let response = listen(house, id, "text/event-stream", None).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["cache-control"]),
        (200, &"no-cache".parse().unwrap())
    );
    let mut stream = http_body_util::BodyDataStream::new(response.into_body());
    assert_eq!(stream.next().await.unwrap().unwrap(), ":\n\n");
    stream
}

#[tokio::test]
async fn a_session_has_one_standing_stream_which_keeps_it_and_lets_it_sleep() {
    let house = House::new();
    let id = open_session(&house).await;
    let first = standing(&house, &id).await;
    let mut second = standing(&house, &id).await;
    first.collect::<Vec<_>>().await;
    house.sessions.rest(0, Duration::ZERO).await;
    assert_eq!(awake(&house), 0);
    house.sessions.reap(Duration::ZERO).await;
    assert_eq!(second.next().await.unwrap().unwrap(), ":\n\n");
    house.sessions.end(&id).await;
    second.collect::<Vec<_>>().await;
}

#[tokio::test]
async fn one_session_too_many_is_refused_until_one_has_ended() {
    let house = House::new();
    let mut open = Vec::new();
    while !house.sessions.is_full() {
        open.push(house.sessions.open().await);
    }
    let refused = house.send(legacy("alice's key", None, &initialize())).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"60".parse().unwrap()));
    assert_eq!(answer(house.send(modern("alice's key", "tools/list", json!({}))).await).await.0, 200);
    house.sessions.end(&open[0]).await;
    assert_eq!(answer(house.send(legacy("alice's key", None, &initialize())).await).await.0, 200);
}

#[tokio::test]
async fn a_key_that_leaks_its_sessions_keeps_no_other_key_out() {
    let house = House::new();
    let opened = async |key| house.send(legacy(key, None, &initialize())).await.status().as_u16();
    let mut leaked = 0;
    while opened("alice's key").await == 200 {
        leaked += 1;
    }
    assert_eq!((leaked, opened("alice's key").await, opened("bob's key").await), (256, 503, 200));
}

#[tokio::test]
async fn what_opens_a_session_is_small_because_it_is_kept() {
    let house = House::new();
    let mut large = initialize();
    large["params"]["clientInfo"]["name"] = "x".repeat(64 * 1024).into();
    for request in [legacy("alice's key", None, &large), in_disguise(&large)] {
        let refused = answer(house.send(request).await).await;
        assert_eq!(refused, (413, json!("Payload Too Large: more than 65536 bytes")));
    }
    assert_eq!(house.sessions.len(), 0);
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_not_kept() {
    let house = House::new();
    let mut wordy = initialize();
    wordy["params"]["clientInfo"]["name"] = "x".repeat(32 * 1024).into();
    wordy["params"]["capabilities"]["experimental"] = json!({"a": {"b": {}}});
    wordy["params"]["protocolVersion"] = "9".repeat(1024).into();
    let opened = house.send(legacy("alice's key", None, &wordy)).await;
    let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let (status, body) = answer(opened).await;
    assert_eq!((status, &body["result"]["protocolVersion"]), (200, &json!("2025-11-25")));
    assert_eq!(answer(house.send(legacy("alice's key", Some(&id), &wordy)).await).await.0, 200);
    let session = house.sessions.get(&id).unwrap();
    let kept = session.life.lock().await.opened_with.clone().unwrap();
    assert!(kept.len() < 256, "{}", String::from_utf8_lossy(&kept));
}

#[tokio::test]
async fn of_requests_under_way_each_has_an_id_of_its_own() {
    let house = House::new();
    let id = open_session(&house).await;
    let call = |nth: Value, command: &str| {
        let params = json!({"name": "shell_execute", "arguments": {"command": [command]}});
        let call = json!({"jsonrpc": "2.0", "id": nth, "method": "tools/call", "params": params});
        house.send(legacy("alice's key", Some(&id), &call))
    };
    let running = call(json!(7), "sleep").await;
    let other = async |nth: Value| answer(call(nth, "echo").await).await;
    let refused = json!("Bad Request: another request of this session that is under way has this id");
    assert_eq!(other(json!(7)).await, (400, refused.clone()));
    drop(running);
    assert_eq!(other(json!(7)).await, (400, refused), "the call goes on when its client has gone");
    for call in house.door.running.calls() {
        call.end(crate::exec::Stop::Cancelled, "operator");
    }
    while !house.door.running.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for nth in [json!(7), json!(7), json!("7")] {
        assert_eq!(other(nth).await.0, 200);
    }
}
