//! Requests as they stand on the wire, of the kinds that no client library sends.
//!
//! What two parties of HTTP read differently is how a request is smuggled past one of them: each such request is
//! refused, or is the last of its connection.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::client::MODERN;
use crate::daemon::Daemon;
use crate::policy::ALICE;
use crate::processes::PATIENCE;

const HOST: &str = "Host: localhost\r\n";
const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
/// Answered with 200 where the connection goes on, and ends it.
const LAST: &str = "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The statuses of all answers to this and to [`LAST`] behind it.
fn ask(daemon: &Daemon, sent: &str) -> Vec<u16> {
    statuses(daemon, &format!("{sent}{LAST}"))
}

/// The statuses of all answers on a connection that this is sent on, as far as the daemon takes it: it may have
/// answered and gone before it has all, which clients of libraries report as a failed write.
pub fn statuses(daemon: &Daemon, sent: &str) -> Vec<u16> {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(sent.as_bytes());
    let mut received = Vec::new();
    if let Err(error) = stream.read_to_end(&mut received) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    let text = String::from_utf8_lossy(&received);
    let heads = text.split("HTTP/1.").skip(1);
    heads.map(|head| head[2..5].parse().unwrap_or_else(|_| panic!("{text}"))).collect()
}

/// A call with these lines beside those that every call has.
fn call(version: &str, target: &str, lines: &str, body: &str) -> String {
    format!("POST {target} {version}\r\n{lines}{}", of_key(ALICE, body))
}

fn of_key(key: &str, body: &str) -> String {
    format!(
        "Authorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         MCP-Protocol-Version: {MODERN}\r\nMcp-Method: tools/list\r\n\r\n{body}"
    )
}

/// A list of the tools for a key, after which its connection stays; with these lines besides.
pub fn list_as(key: &str, lines: &str) -> String {
    let length = BODY.len();
    format!("POST /mcp HTTP/1.1\r\n{HOST}{lines}Content-Length: {length}\r\n{}", of_key(key, BODY))
}

/// A call with its length, the last of its connection.
pub fn with_length(body: &str) -> String {
    framed(&format!("Connection: close\r\nContent-Length: {}\r\n", body.len()), body)
}

fn framed(lines: &str, body: &str) -> String {
    call("HTTP/1.1", "/mcp", &format!("{HOST}{lines}"), body)
}

#[test]
fn the_end_of_a_request_is_never_in_doubt() {
    let daemon = Daemon::start();
    let length = BODY.len();
    let chunked = format!("{length:x}\r\n{BODY}\r\n0\r\n\r\n");
    let once = format!("Content-Length: {length}\r\n");
    let (whole, broken) = (BODY.to_owned(), format!("z\r\n{chunked}"));
    let (extended, torn) = (chunked.replacen('\r', ";a=b\r", 1), chunked.replacen('\r', ";a\nb\r", 1));
    let cases: [(String, &String, &[u16]); 14] = [
        (once.clone(), &whole, &[200, 200]),
        (once.repeat(2), &whole, &[200, 200]),
        (format!("{once}Content-Length: 3\r\n"), &whole, &[400]),
        (format!("Content-Length: {length}, {length}\r\n"), &whole, &[400]),
        (format!("Content-Length: +{length}\r\n"), &whole, &[400]),
        ("Transfer-Encoding: chunked\r\n".to_owned(), &chunked, &[200, 200]),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n".to_owned(), &chunked, &[200]),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n".to_owned(), &chunked, &[200]),
        ("Transfer-Encoding: chunked, identity\r\n".to_owned(), &chunked, &[400]),
        ("Transfer-Encoding: chunked\r\n".to_owned(), &broken, &[400]),
        ("Transfer-Encoding: chunked\r\n".to_owned(), &extended, &[200, 200]),
        ("Transfer-Encoding: chunked\r\n".to_owned(), &torn, &[400]),
        ("Transfer-Encoding : chunked\r\n".to_owned(), &chunked, &[400]),
        ("X: a\r\n Transfer-Encoding: chunked\r\n".to_owned(), &chunked, &[400]),
    ];
    for (lines, body, expected) in cases {
        assert_eq!(ask(&daemon, &framed(&lines, body)), expected, "{lines}");
    }
    let old = call("HTTP/1.0", "/mcp", &format!("{HOST}Transfer-Encoding: chunked\r\n"), &chunked);
    assert_eq!(ask(&daemon, &old), [400]);
}

#[test]
fn a_request_says_once_for_whom_it_is() {
    let daemon = Daemon::start();
    let length = format!("Content-Length: {}\r\n", BODY.len());
    for (version, target, hosts, status) in [
        ("HTTP/1.1", "/mcp", "Host: localhost\r\n", 200),
        ("HTTP/1.1", "/mcp", "", 400),
        ("HTTP/1.0", "/mcp", "", 400),
        ("HTTP/1.1", "/mcp", "Host: localhost\r\nHost: attacker.example\r\n", 400),
        ("HTTP/1.1", "http://attacker.example/mcp", "Host: localhost\r\n", 403),
        // Of the two the target counts (RFC 9112, 3.2.2).
        ("HTTP/1.1", "http://localhost/mcp", "Host: attacker.example\r\n", 200),
    ] {
        let answers = ask(&daemon, &call(version, target, &format!("{hosts}{length}"), BODY));
        assert_eq!(answers[0], status, "{version} {target} {hosts}");
    }
}

#[test]
fn a_head_is_bounded() {
    let daemon = Daemon::start();
    let head = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\n{HOST}{lines}\r\n");
    let lines = |count| (1..count).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    let long = |length| format!("x: {}\r\n", "a".repeat(length));
    assert_eq!(ask(&daemon, &head("/live", &lines(100))), [200, 200]);
    assert_eq!(ask(&daemon, &head("/live", &lines(101))), [431]);
    assert_eq!(ask(&daemon, &head("/live", &long(65_000))), [200, 200]);
    assert_eq!(ask(&daemon, &head("/live", &long(66_000))), [431]);
    assert_eq!(ask(&daemon, &head(&format!("/{}", "a".repeat(60_000)), "")), [404, 200]);
    assert_eq!(ask(&daemon, &head(&format!("/{}", "a".repeat(70_000)), "")), [431]);
}

#[test]
fn what_is_no_request_is_told_so_and_ends_the_connection() {
    let daemon = Daemon::start();
    for (sent, statuses) in [
        ("hello\r\n\r\n", &[400][..]),
        ("\u{16}\u{3}\u{1}\0\u{5}hello", &[400]),
        ("GET /live HTTP/2.0\r\n\r\n", &[400]),
        ("GET /live\r\n\r\n", &[400]),
        ("GET /live HTTP/1.1\r\nHost: localhost\r\nx: a\0b\r\n\r\n", &[400]),
        ("GET /live HTTP/1.1\r\nHost: localhost\r\nx: a\rb\r\n\r\n", &[400]),
        // Whoever knows no other version than 2 cannot read an answer of version 1.
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
    ] {
        assert_eq!(ask(&daemon, sent), statuses, "{sent:?}");
    }
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let daemon = Daemon::start();
    let missing = format!("GET /nothing HTTP/1.1\r\n{HOST}\r\n");
    let live = LAST.replace("Connection: close\r\n", "");
    assert_eq!(ask(&daemon, &format!("{live}{missing}{live}")), [200, 404, 200, 200]);
}

#[test]
fn a_body_is_asked_for_only_where_it_is_read() {
    let daemon = Daemon::start();
    let expecting = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", BODY.len());
    assert_eq!(ask(&daemon, &framed(&expecting, BODY)), [100, 200, 200]);
    assert_eq!(ask(&daemon, &format!("POST /mcp HTTP/1.1\r\n{HOST}{expecting}\r\n")), [401]);
}
