//! Requests that come from the wrong place, or are too large.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::client::{Client, Era, plain};
use crate::daemon::{Daemon, Setup};
use crate::policy::{ALICE, BOB};
use crate::processes::{PATIENCE, await_start, eventually, marker, with_argument};
use crate::wire::{list_as, statuses, with_length};

#[test]
fn a_foreign_host_is_refused_and_a_listed_one_is_not() {
    let daemon = Daemon::start();
    let with = |host: &str| list(&daemon, "host", host);
    assert_eq!(with("attacker.example"), StatusCode::FORBIDDEN);
    assert_eq!(with("kernos.example.attacker.example"), StatusCode::FORBIDDEN);
    assert_eq!(with("kernos.example"), StatusCode::OK);
    assert_eq!(with(&format!("localhost:{}", daemon.address().port())), StatusCode::OK);
}

#[test]
fn a_foreign_origin_is_refused_and_a_listed_one_is_not() {
    let daemon = Daemon::start();
    let with = |origin: &str| list(&daemon, "origin", origin);
    assert_eq!(with("https://attacker.example"), StatusCode::FORBIDDEN);
    assert_eq!(with("null"), StatusCode::FORBIDDEN);
    assert_eq!(with("http://app.example"), StatusCode::FORBIDDEN);
    assert_eq!(with("https://app.example"), StatusCode::OK);
}

#[test]
fn a_foreign_host_is_refused_before_its_key_is_looked_at() {
    let daemon = Daemon::start();
    let client = Client::without_key(&daemon.url("/mcp"), Era::Modern).header("host", "attacker.example");
    assert_eq!(client.request("tools/list", json!({})).status, StatusCode::FORBIDDEN);
}

#[test]
fn a_body_beyond_the_limit_is_refused_with_its_own_status() {
    let daemon = Daemon::start();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "more": "x".repeat(64 << 20) } });
    assert_eq!(statuses(&daemon, &with_length(&body.to_string())), [413]);
}

#[test]
fn a_body_of_countless_values_is_refused_before_they_cost_anything() {
    let daemon = Daemon::start();
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "more": vec![0; 4 << 20] } });
    assert_eq!(statuses(&daemon, &with_length(&body.to_string())), [413]);
    let most = kilobytes(&daemon, "VmHWM:");
    assert!(most < 128 * 1024, "{most} kB");
    assert_eq!(daemon.client().run(&["echo", "next"]).stdout(), "next\n");
}

#[test]
fn memory_that_many_connections_took_is_given_back_when_they_are_gone() {
    let daemon = Setup::new().open_files("4096").start();
    let before = kilobytes(&daemon, "RssAnon:");
    let connections: Vec<TcpStream> = (0..300).map(|_| half_a_head(&daemon)).collect();
    eventually("the heads of all, in memory", || kilobytes(&daemon, "RssAnon:") > before + 6 * 1024);
    drop(connections);
    eventually("their memory, given back", || kilobytes(&daemon, "RssAnon:") < before + 3 * 1024);
}

#[test]
fn connections_without_a_key_take_no_descriptor_from_a_call() {
    let daemon = Setup::new().open_files("64").start();
    let client = daemon.client();
    assert_eq!(client.run(&["echo", "first"]).stdout(), "first\n");
    let _idle: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(daemon.address()).unwrap()).collect();
    // Nobody but root can count the daemon's descriptors. These connections are taken in far less time.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(client.run(&["echo", "next"]).stdout(), "next\n");
}

#[test]
fn connections_without_a_key_keep_no_key_out_and_end_no_call() {
    let daemon = Setup::new().open_files("64").start();
    let seconds = marker();
    let running = daemon.client().begin_run(&["sh", "-c", &format!("sleep {seconds} & wait")]);
    await_start(&seconds);
    let idle: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(daemon.address()).unwrap()).collect();
    for _ in 0..3 {
        assert_eq!(daemon.client().run(&["echo", "new"]).stdout(), "new\n");
    }
    let evicted = "kernos_connections_evicted_total ";
    let measured = plain(Method::GET, &daemon.url("/metrics"), &[]).body;
    let evicted = measured.lines().find_map(|line| line.strip_prefix(evicted)).unwrap();
    assert!((49..=60).contains(&evicted.parse().unwrap()), "of 85 connections 32 have room: {evicted}");
    assert_eq!(with_argument(&seconds).len(), 1, "the call goes on");
    drop((running, idle));
}

#[test]
fn one_key_that_renews_its_connections_keeps_no_newcomer_out() {
    let daemon = Setup::new().open_files("64").start();
    let mut of_bob = newcomer(&daemon);
    assert_eq!(answered(&mut of_bob, BOB), Some(200));
    let asked = || {
        let mut stream = newcomer(&daemon);
        assert_eq!(answered(&mut stream, ALICE), Some(200));
        stream
    };
    let mut of_alice: Vec<TcpStream> = (0..40).map(|_| asked()).collect();
    let mut slow = newcomer(&daemon);
    of_alice.extend((0..12).map(|_| asked()));
    assert_eq!(answered(&mut slow, BOB), Some(200), "12 of 32 connections are new since bob's");
    assert_eq!(answered(&mut of_bob, BOB), Some(200), "and alice has none of his that are idle");
}

#[test]
fn what_one_key_is_served_leaves_room_for_the_others() {
    let daemon = Setup::new().open_files("64").start();
    let request = list_as(ALICE, "Expect: 100-continue\r\n");
    let head = &request[..request.find('{').unwrap()];
    let begin = |_| {
        let mut stream = newcomer(&daemon);
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    // Of 32 connections: each is asked for its body, which never comes.
    let mut served: Vec<TcpStream> = (0..8).map(begin).collect();
    assert_eq!(served.iter_mut().map(status).collect::<Vec<_>>(), [Some(100); 8]);
    let mut refused: Vec<TcpStream> = (0..40).map(begin).collect();
    assert_eq!(status(refused.last_mut().unwrap()), Some(429));
    assert_eq!(answered(&mut newcomer(&daemon), BOB), Some(200));
}

#[test]
fn the_daemon_takes_all_descriptors_that_it_may_and_commands_do_not() {
    let daemon = Setup::new().open_files("300:5000").start();
    let limits = |pid: i32| {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        limit.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limits(daemon.pid()), ["5000", "5000"]);
    assert_eq!(limits(daemon.executor()), ["300", "5000"]);
    assert_eq!(daemon.client().run(&["sh", "-c", "ulimit -Sn"]).stdout(), "256\n", "as the policy says");
}

#[test]
fn a_client_that_accepts_anything_is_served() {
    let daemon = Daemon::start();
    let reply = crate::client::plain_post(
        &daemon.url("/mcp"),
        &[("authorization", &format!("Bearer {ALICE}")), ("accept", "*/*")],
        &json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "curl", "version": "8" } } }),
    );
    assert_eq!(reply.result()["serverInfo"]["name"], "kernos");
}

fn list(daemon: &Daemon, header: &str, value: &str) -> StatusCode {
    let client = daemon.client().header(header, value);
    client.request("tools/list", json!({})).status
}

fn newcomer(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The status of the answer to a request, if there is one.
fn answered(stream: &mut TcpStream, key: &str) -> Option<u16> {
    stream.write_all(list_as(key, "").as_bytes()).ok()?;
    status(stream)
}

/// The status of what is read next, which is not longer than a first segment.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut answer = [0; 16 << 10];
    let length = stream.read(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn half_a_head(daemon: &Daemon) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    write!(stream, "GET /live HTTP/1.1\r\nhost: localhost\r\nx-long: {}", "x".repeat(24 << 10)).unwrap();
    stream
}

/// What `/proc/pid/status` says of the daemon's memory.
fn kilobytes(daemon: &Daemon, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}
