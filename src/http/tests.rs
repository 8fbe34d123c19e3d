//! The door as its callers see it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use futures::FutureExt;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::testing::{House, MODERN, answer, caller, digest, initialize, legacy, modern, post};
use super::{Journal, Record, Sink};
use crate::exec::Watch;

#[tokio::test]
async fn a_command_runs_in_the_newer_era_and_is_answered_as_json() {
    let house = House::new();
    let call = json!({"name": "shell_execute", "arguments": {"command": ["cat"], "stdin": "grüß dich"}});
    let response = house.send(modern("alice's key", "tools/call", call)).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["x-request-id"].len(), 32);
    let (status, body) = answer(response).await;
    let result = &body["result"];
    let structured = json!({
        "ended": "exited", "status": 0, "stdout": "grüß dich", "stderr": "", "execution_time": 0.001,
        "stages": [{"program": "cat", "status": 0}],
    });
    assert_eq!((status, &result["structuredContent"]), (200, &structured));
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!((text, &result["isError"]), (structured, &json!(false)));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "kernos");
}

#[tokio::test]
async fn a_command_runs_in_a_session_of_the_older_era() {
    let house = House::new();
    let opened = house.send(legacy("alice's key", None, &initialize())).await;
    let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let (status, body) = answer(opened).await;
    assert_eq!((status, &body["result"]["protocolVersion"]), (200, &json!("2025-11-25")));
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(answer(house.send(legacy("alice's key", Some(&id), &ready)).await).await.0, 202);

    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "shell_execute", "arguments": {"command": ["cat"], "stdin": "x"},
    }});
    let (status, body) = answer(house.send(legacy("alice's key", Some(&id), &call)).await).await;
    assert_eq!((status, &body["result"]["structuredContent"]["stdout"]), (200, &json!("x")));

    for (key, expected) in [("bob's key", 404), ("alice's key", 204), ("alice's key", 404)] {
        let mut end = legacy(key, Some(&id), &json!({}));
        *end.method_mut() = Method::DELETE;
        assert_eq!(answer(house.send(end).await).await.0, expected, "{key}");
    }
}

#[tokio::test]
async fn a_session_is_not_there_for_another_key() {
    let house = House::new();
    let opened = house.send(legacy("alice's key", None, &initialize())).await;
    let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let ping = json!({"jsonrpc": "2.0", "id": 3, "method": "ping"});
    let foreign = answer(house.send(legacy("bob's key", Some(&id), &ping)).await).await;
    let missing = answer(house.send(legacy("bob's key", Some("no-such-session"), &ping)).await).await;
    assert_eq!(foreign, missing);
    assert_eq!(foreign.0, 404);

    // Nor by calling oneself modern in the header alone.
    let mut disguised = legacy("bob's key", Some(&id), &initialize());
    disguised.headers_mut().insert("mcp-protocol-version", MODERN.parse().unwrap());
    let response = house.send(disguised).await;
    assert_ne!(response.headers().get("mcp-session-id").map(|one| one.to_str().unwrap()), Some(id.as_str()));
}

#[tokio::test]
async fn tools_are_listed_by_what_the_key_may_call_for_its_holder_only() {
    let house = House::new();
    let listed = house.modern("tools/list", json!({})).await["result"].clone();
    assert_eq!((&listed["cacheScope"], &listed["ttlMs"]), (&json!("private"), &json!(60_000)));
    let tool = &listed["tools"][0];
    assert_eq!(tool["name"], "shell_execute");
    assert_eq!(
        tool["annotations"],
        json!({
            "title": "Run a command", "readOnlyHint": false, "destructiveHint": true,
            "idempotentHint": false, "openWorldHint": true,
        })
    );
    assert!(tool["outputSchema"]["properties"]["stdout"].is_object());

    let beyond = house.modern("tools/list", json!({"cursor": "2"})).await;
    assert_eq!(beyond["error"]["code"], -32602);

    let (_, for_bob) = answer(house.send(modern("bob's key", "tools/list", json!({}))).await).await;
    assert_eq!(for_bob["result"]["tools"], json!([]));
}

#[tokio::test]
async fn a_tool_that_is_not_granted_looks_like_one_that_is_not_there() {
    let house = House::new();
    let call = |name| json!({"name": name, "arguments": {"command": ["echo"]}});
    let (_, ungranted) =
        answer(house.send(modern("bob's key", "tools/call", call("shell_execute"))).await).await;
    let (_, unknown) =
        answer(house.send(modern("alice's key", "tools/call", call("shell_executf"))).await).await;
    assert_eq!(ungranted["error"], json!({"code": -32602, "message": "Unknown tool: shell_execute"}));
    assert_eq!(unknown["error"], json!({"code": -32602, "message": "Unknown tool: shell_executf"}));
}

#[tokio::test]
async fn bad_arguments_and_denials_are_errors_that_say_what_would_be_right() {
    let house = House::new();
    for (arguments, text) in [
        (json!({"command": "ls"}), "`command` must be an array, but is a string"),
        (json!({"command": ["echo"], "timout": 3}), "did you mean `timeout`?"),
        (json!({"command": ["|", "cat"]}), "command[0]: `|` has no command before it"),
        (json!({"command": ["rm", "x"]}), "command[0]:"),
        (json!({"command": ["cat"], "stdin": "x".repeat(1025)}), "the policy's limit is 1024"),
        (json!({"command": ["cat"], "timeout": 100_000}), "timeout"),
    ] {
        let result = house.run(arguments).await;
        let told = result["content"][0]["text"].as_str().unwrap();
        assert!(told.contains(text), "{told}");
        assert_eq!((&result["isError"], &result["structuredContent"]), (&json!(true), &Value::Null));
    }
}

#[tokio::test]
async fn a_panic_is_answered() {
    let house = House::new();
    let call = json!({"name": "shell_execute", "arguments": {"command": ["boom"]}});
    let body = house.modern("tools/call", call).await;
    assert_eq!(body["error"], json!({"code": -32603, "message": "Internal error"}));
    let line = "kernos_tool_calls_total{outcome=\"panicked\",tool=\"shell_execute\"} 1";
    assert!(house.measured().contains(line));
}

#[tokio::test]
async fn methods_that_are_not_declared_are_not_there() {
    let house = House::new();
    for method in ["prompts/list", "resources/list", "resources/templates/list", "nonsense/list"] {
        assert_eq!(house.modern(method, json!({})).await["error"]["code"], -32601, "{method}");
    }
}

#[tokio::test]
async fn without_a_valid_key_there_is_nothing_but_how_to_show_one() {
    let house = House::new();
    let send = |fields: &[(&'static str, &'static str)]| {
        let mut request = post().uri("/mcp?key=alice%27s%20key&api_key=alice%27s%20key");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        house.send(request.body(Body::from("{}")).unwrap())
    };
    let missing = send(&[]).await;
    assert_eq!(missing.headers()["www-authenticate"], "Bearer realm=\"kernos\"");
    let (status, body) = answer(missing).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!(-32600)));

    let mut answers = Vec::new();
    for fields in [
        &[("authorization", "Bearer wrong")][..],
        &[("x-api-key", "wrong")],
        &[("authorization", "Bearer alice's key"), ("x-api-key", "bob's key")],
        &[("authorization", "Basic YWxpY2U6a2V5")],
    ] {
        let response = send(fields).await;
        let challenge = "Bearer realm=\"kernos\", error=\"invalid_token\"";
        assert_eq!(response.headers()["www-authenticate"], challenge);
        answers.push(answer(response).await);
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    assert!(house.measured().contains("kernos_auth_failures_total{reason=\"no-key\"} 1"));
    assert!(house.measured().contains("kernos_auth_failures_total{reason=\"unreadable\"} 2"));
}

#[tokio::test]
async fn open_access_is_for_this_host_and_for_nothing_that_was_passed_on() {
    let house = House::with("[anonymous]\nprofile = \"dev\"\n");
    let request = || {
        let mut request = modern("", "tools/list", json!({}));
        request.headers_mut().remove(header::AUTHORIZATION);
        request
    };
    assert_eq!(house.send(request()).await.status(), StatusCode::OK);
    assert_eq!(house.send_from([192, 0, 2, 1].into(), request()).await.status(), StatusCode::UNAUTHORIZED);
    let mut forwarded = request();
    forwarded.headers_mut().insert("x-forwarded-for", "127.0.0.1".parse().unwrap());
    assert_eq!(house.send(forwarded).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_bound_to_a_network_is_judged_by_who_stands_behind_the_proxy() {
    let tables = format!(
        "[key.alice]\nsha256 = \"{}\"\nprofile = \"dev\"\nfrom = [\"192.0.2.0/24\"]\n",
        digest("alice's key")
    );
    let house = House::with(&tables);
    let request = |hops: &'static str| {
        let mut request = modern("alice's key", "tools/list", json!({}));
        request.headers_mut().insert("x-forwarded-for", hops.parse().unwrap());
        request
    };
    let proxy = [10, 0, 0, 1].into();
    assert_eq!(house.send_from(proxy, request("192.0.2.7")).await.status(), 200);
    assert_eq!(house.send_from(proxy, request("192.0.2.7, 198.51.100.1")).await.status(), 401);
    assert_eq!(house.send_from([198, 51, 100, 1].into(), request("192.0.2.7")).await.status(), 401);
}

#[tokio::test]
async fn a_request_that_was_not_meant_for_us_is_turned_away_before_its_key_is_read() {
    let house = House::new();
    for (name, value) in [("host", "evil.example"), ("origin", "http://localhost:3000"), ("origin", "null")] {
        let mut request = modern("alice's key", "tools/list", json!({}));
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(house.send(request).await.status(), 403, "{name}: {value}");
    }
    let mut request = modern("alice's key", "tools/list", json!({}));
    request.headers_mut().insert("origin", "https://app.example.com".parse().unwrap());
    let response = house.send(request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example.com");
    let preflight = Request::options("/mcp")
        .header("host", "caliban.incus")
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST");
    assert_eq!(house.send(preflight.body(Body::empty()).unwrap()).await.status(), 204);
}

#[tokio::test]
async fn plain_clients_are_served_and_broken_messages_answered() {
    let house = House::new();
    let mut plain = modern("alice's key", "tools/list", json!({}));
    *plain.uri_mut() = "/mcp/".parse().unwrap();
    plain.headers_mut().insert("accept", "*/*".parse().unwrap());
    assert_eq!(house.send(plain).await.status(), 200);

    let send = |body: &'static str| {
        house.send(post().header("x-api-key", "alice's key").body(Body::from(body)).unwrap())
    };
    let (status, body) = answer(send("{\"jsonrpc\":").await).await;
    assert_eq!((status, &body["error"]["code"], &body["id"]), (400, &json!(-32700), &Value::Null));
    let (status, body) = answer(send("[]").await).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!(-32600)));

    let outside_of_a_session = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let refused = house.send(legacy("alice's key", None, &outside_of_a_session)).await;
    let kind = &refused.headers()["content-type"];
    assert_eq!((refused.status().as_u16(), kind.to_str().unwrap()), (400, "text/plain; charset=utf-8"));
}

#[tokio::test]
async fn eight_mib_of_control_characters_are_read() {
    let house = House::new();
    let call =
        json!({"name": "shell_execute", "arguments": {"command": ["cat"], "stdin": "\u{1}".repeat(8 << 20)}});
    let body = house.modern("tools/call", call).await;
    let told = body["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(told, "`stdin` has 8388608 bytes, and the policy's limit is 1024");
}

#[tokio::test]
async fn what_is_not_there_is_not_there_with_or_without_a_key() {
    let house = House::new();
    for path in
        ["/", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/mcpx"]
    {
        let (status, body) = answer(house.send(Request::get(path).body(Body::empty()).unwrap()).await).await;
        assert_eq!((status, body), (404, json!("Not Found")), "{path}");
    }
}

#[tokio::test]
async fn probes_say_what_is_checked() {
    let house = House::new();
    let get = |path: &'static str| house.send(Request::get(path).body(Body::empty()).unwrap());
    assert_eq!(answer(get("/live").await).await, (200, json!({"live": true})));
    let expected = json!({
        "ready": true, "stopping": false,
        "checks": {
            "policy": {"state": "ok", "digest": house.door.policy().digest()},
            "executor": {"state": "ok"},
            "record": {"state": "ok"},
            "sandbox": {"state": "gaps", "gaps": ["the host holds nothing"]},
        },
    });
    assert_eq!(answer(get("/ready").await).await, (200, expected));
    assert_eq!(answer(get("/health").await).await.1["live"], true);
    assert_eq!(get("/metrics").await.headers()["content-type"], "text/plain; version=0.0.4");
    let json = Request::get("/metrics").header("accept", "application/json").body(Body::empty()).unwrap();
    let (_, json) = answer(house.send(json).await).await;
    assert_eq!(json["kernos_http_requests_total"]["type"], "counter");
}

#[tokio::test]
async fn without_its_required_record_no_call_is_made_and_the_host_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let record = Record::new(Sink::Journal(Journal::open(&path).unwrap()), true, None).unwrap();
    let tables = format!("[key.alice]\nsha256 = \"{}\"\nprofile = \"dev\"\n", digest("alice's key"));
    let house = House::recorded(&tables, record);
    let status = async || {
        let response = house.send(Request::get("/ready").body(Body::empty()).unwrap()).await;
        let (status, body) = answer(response).await;
        (status, body["checks"]["record"]["state"].clone())
    };
    let echo = || house.run(json!({"command": ["echo"]}));
    assert_eq!(echo().await["isError"], false, "that it cannot be written shows with the first event");
    assert_eq!(status().await, (503, json!("failing")));
    assert!(echo().await["content"][0]["text"].as_str().unwrap().contains("record cannot be written"));

    let journald = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    until(|| house.door.record.works()).await;
    assert_eq!(status().await, (200, json!("ok")));
    assert_eq!(echo().await["isError"], false);
    let events = [(); 3].map(|()| {
        let mut datagram = [0; 4096];
        let length = journald.recv(&mut datagram).unwrap();
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    });
    assert!(events[0].contains("KERNOS_OUTCOME=exited\n") && events[1].contains("KERNOS_REASON=record\n"));
    for field in [
        "KERNOS_KEY=alice\n",
        "KERNOS_TOOL=shell_execute\n",
        "KERNOS_DECISION=allowed\n",
        "KERNOS_RULE=echo\n",
        "KERNOS_COMMAND=[\"echo\"]\n",
        "KERNOS_STATUS=0\n",
        "KERNOS_SEQ=2\n",
    ] {
        assert!(events[2].contains(field), "{field} is missing in {}", events[2]);
    }
}

#[tokio::test]
async fn a_key_that_runs_what_it_may_has_its_further_calls_wait_and_then_refused() {
    let house = House::new();
    let call = || {
        let call = json!({"name": "shell_execute", "arguments": {"command": ["sleep"]}});
        let router = house.send(modern("alice's key", "tools/call", call));
        Box::pin(router)
    };
    let mut calls: Vec<_> = (0..6).map(|_| call()).collect();
    let first =
        tokio::time::timeout(Duration::from_secs(5), futures::future::select_all(calls.iter_mut())).await;
    let (refused, at, _) = first.unwrap();
    let (_, body) = answer(refused).await;
    let told = body["result"]["content"][0]["text"].as_str().unwrap();
    assert!(told.starts_with("this key may run 1 calls at once and have 4 more waiting"), "{told}");
    drop(calls.remove(at));
    house.door.stop.cancel();
    for call in calls {
        assert_eq!(answer(call.await).await.1["result"]["isError"], true);
    }
    assert_eq!(house.stage.stopped.load(Ordering::SeqCst), 1, "the others had not begun");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_call_in_the_newer_era() {
    let house = House::new();
    let call = json!({"name": "shell_execute", "arguments": {"command": ["sleep"]}});
    let gone = house.send(modern("alice's key", "tools/call", call));
    assert!(tokio::time::timeout(Duration::from_millis(200), gone).await.is_err());
    until(|| house.stage.stopped.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_call_that_takes_long_is_heard_of_in_the_newer_era() {
    let house = House::new();
    let slow = |accept: &'static str| {
        let call = json!({"name": "shell_execute", "arguments": {"command": ["sleep"]}});
        let mut request = modern("alice's key", "tools/call", call);
        request.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
        house.send(request)
    };
    let json = tokio::time::timeout(Duration::from_millis(200), slow("application/json"));
    assert!(json.await.is_err(), "who reads no events waits");
    until(|| house.stage.stopped.load(Ordering::SeqCst) == 1).await;

    let begun = slow("application/json, text/event-stream").await;
    assert_eq!(
        (begun.status().as_u16(), &begun.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    assert_eq!(house.stage.stopped.load(Ordering::SeqCst), 1, "it still runs");
    drop(begun);
    until(|| house.stage.stopped.load(Ordering::SeqCst) == 2).await;

    let begun = slow("application/json, text/event-stream").await;
    house.door.stop.cancel();
    let (_, body) = answer(begun).await;
    assert_eq!(body["result"]["structuredContent"]["stdout"], "so far\n");
}

#[tokio::test]
async fn a_cancelled_notification_ends_its_call_in_the_older_era() {
    let house = House::new();
    let opened = house.send(legacy("alice's key", None, &initialize())).await;
    let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let _ = answer(opened).await;
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let _ = house.send(legacy("alice's key", Some(&id), &ready)).await;
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "shell_execute", "arguments": {"command": ["sleep"]},
    }});
    let running = house.send(legacy("alice's key", Some(&id), &call)).await;
    until(|| house.measured().contains("kernos_tool_calls_in_flight{tool=\"shell_execute\"} 1")).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    assert_eq!(house.send(legacy("alice's key", Some(&id), &cancel)).await.status(), 202);
    until(|| house.stage.stopped.load(Ordering::SeqCst) == 1).await;
    drop(running);
}

#[tokio::test]
async fn a_call_that_nobody_is_left_to_answer_is_on_record() {
    let house = House::new();
    let caller = caller(&house.door.policy(), "alice's key");
    let Value::Object(arguments) = json!({"command": ["sleep"]}) else { unreachable!() };
    let call =
        house.door.call(&caller, "shell_execute", arguments, Watch::default(), CancellationToken::new());
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    let measured = house.measured();
    for line in [
        "kernos_record_events_total 1",
        "kernos_tool_calls_total{outcome=\"cancelled\",tool=\"shell_execute\"} 1",
        "kernos_tool_calls_in_flight{tool=\"shell_execute\"} 0",
    ] {
        assert!(measured.lines().any(|one| one == line), "{line} is missing in:\n{measured}");
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it happens within five seconds");
}

#[tokio::test]
async fn a_key_whose_requests_do_not_end_has_no_more_of_them_and_other_keys_do() {
    let house = House::new();
    let unfinished = || {
        let mut request = modern("alice's key", "tools/list", json!({}));
        *request.body_mut() = Body::from_stream(futures::stream::pending::<Result<String, axum::Error>>());
        Box::pin(house.send(request))
    };
    let mut under_way: Vec<_> = (0..64).map(|_| unfinished()).collect();
    assert!(under_way.iter_mut().all(|request| request.now_or_never().is_none()));
    let list = |key| house.send(modern(key, "tools/list", json!({})));
    let response = list("alice's key").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    let text = "Too Many Requests: this key has 64 under way, so read their answers first";
    assert_eq!(answer(response).await.1, text);
    assert!(house.measured().contains("kernos_record_events_total 1\n"), "it is on record");
    assert_eq!(list("bob's key").await.status(), 200);
    drop(under_way.pop());
    let unread = list("alice's key").await;
    assert_eq!(unread.status(), 200);
    assert_eq!(list("alice's key").await.status(), 429, "until its answer is read, a request is under way");
    answer(unread).await;
    assert_eq!(list("alice's key").await.status(), 200);
}
