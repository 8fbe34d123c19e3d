//! What agents of the newer era do: a request for itself, and a closed connection takes it back.

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::actor::{Actor, expect, expect_printed};
use crate::http::Connection;
use crate::wire::{self, Message};

/// Ends only by being ended: no soak is so long.
pub const FOREVER: &str = "86400";

/// A call that succeeds.
pub fn succeed(actor: &mut Actor<'_>) -> Result<(), String> {
    let words = ["echo", "a word"];
    expect_printed(&words, &actor.call(&words, None, "exited")?, "a word\n", 0)
}

/// A command that fails, which is a result.
pub fn fail(actor: &mut Actor<'_>) -> Result<(), String> {
    expect_printed(&["false"], &actor.call(&["false"], None, "exited")?, "", 1)
}

/// A command that the key may not run.
pub fn be_denied(actor: &mut Actor<'_>) -> Result<(), String> {
    actor.call(&["rm", "everything"], None, "denied").map(drop)
}

/// A command that takes too long.
pub fn time_out(actor: &mut Actor<'_>) -> Result<(), String> {
    actor.call(&["sleep", FOREVER], Some(1), "timed-out").map(drop)
}

/// More output than is kept.
pub fn print_much(actor: &mut Actor<'_>) -> Result<(), String> {
    let words = ["yes", "|", "head", "-c", "4194304"];
    let content = actor.call(&words, None, "exited")?;
    let omitted = content["stdout_omitted"].as_u64();
    if omitted == Some(3 << 20) { Ok(()) } else { Err(format!("{words:?}: {omitted:?} bytes were omitted")) }
}

/// Programs joined by pipes and more.
pub fn pipe(actor: &mut Actor<'_>) -> Result<(), String> {
    let words = ["seq", "1", "1000", "|", "sort", "-r", "|", "wc", "-l", "&&", "echo", "done"];
    expect_printed(&words, &actor.call(&words, None, "exited")?, "1000\ndone\n", 0)
}

/// The list of tools.
pub fn list(actor: &mut Actor<'_>) -> Result<(), String> {
    let message = wire::modern(&actor.key, "tools/list", json!({}));
    let answer = actor.tell(&message)?;
    expect(answer.is_good() && answer.text().contains("shell_execute"), || "tools/list".to_owned(), &answer)
}

/// Two requests in one go, answered in order.
pub fn ask_ahead(actor: &mut Actor<'_>) -> Result<(), String> {
    let (first, second) = (["echo", "first"], ["echo", "second"]);
    let mut connection = actor.site.dial("/mcp")?;
    for words in [&first, &second] {
        send(&mut connection, &call(actor, words))?;
    }
    for (words, stdout) in [(&first, "first\n"), (&second, "second\n")] {
        let answer = wire::hear(&mut connection).map_err(|error| format!("{words:?} ahead: {error}"))?;
        expect_printed(words, &actor.judge(words, &answer, "exited")?, stdout, 0)?;
    }
    Ok(())
}

/// An answer of some MiB that is read late, when the buffers of both sides have long been full.
pub fn read_late(actor: &mut Actor<'_>) -> Result<(), String> {
    let words = ["yes", "|", "head", "-c", "1048576"];
    let mut connection = actor.site.dial("/mcp")?;
    send(&mut connection, &call(actor, &words))?;
    thread::sleep(Duration::from_millis(700));
    let answer = wire::hear(&mut connection).map_err(|error| format!("{words:?} late: {error}"))?;
    let content = actor.judge(&words, &answer, "exited")?;
    let length = content["stdout"].as_str().map(str::len);
    if length == Some(1 << 20) { Ok(()) } else { Err(format!("{words:?} late: {length:?} bytes came")) }
}

/// A running call that is taken back.
pub fn cancel(actor: &mut Actor<'_>) -> Result<(), String> {
    let mark = actor.site.ledger.fresh_mark();
    let mut connection = actor.site.dial("/mcp")?;
    send(&mut connection, &call(actor, &["touch", &mark, ";", "sleep", FOREVER]))?;
    actor.site.await_mark(&mark)?;
    actor.site.ledger.begun(&mark, "cancelled");
    hang_up(&connection)
}

/// An answer that is looked at and not read.
pub fn leave_in_answer(actor: &mut Actor<'_>) -> Result<(), String> {
    let mark = actor.site.ledger.fresh_mark();
    let words = ["printf", &mark, ";", "yes", "|", "head", "-c", "1000000"];
    let mut connection = actor.site.dial("/mcp")?;
    send(&mut connection, &call(actor, &words))?;
    let looked = connection.stream.get_ref().peek(&mut [0]);
    if !looked.as_ref().is_ok_and(|length| *length > 0) {
        return Err(format!("{words:?}: no first byte: {looked:?}"));
    }
    actor.site.ledger.begun(&mark, "exited");
    hang_up(&connection)
}

/// A whole request of somebody who hangs up before it can have been read.
pub fn hang_up_at_once(actor: &mut Actor<'_>) -> Result<(), String> {
    let mut connection = actor.site.dial("/mcp")?;
    send(&mut connection, &call(actor, &["sleep", FOREVER]))?;
    actor.site.ledger.perhaps();
    hang_up(&connection)
}

/// A head without its body, of somebody who hangs up.
pub fn break_off(actor: &mut Actor<'_>) -> Result<(), String> {
    let mut connection = actor.site.dial("/mcp")?;
    let headers = call(actor, &["true"]).headers;
    let head = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: 100\r\n\r\n{{");
    connection.stream.get_mut().write_all(head.as_bytes()).map_err(|error| format!("to send: {error}"))?;
    thread::sleep(Duration::from_millis(20));
    hang_up(&connection)
}

/// A key that is none; after sixty a minute it is to wait.
pub fn guess(actor: &mut Actor<'_>) -> Result<(), String> {
    let message = wire::modern("kernos_siege_guess_0123456789abcdef", "tools/list", json!({}));
    let answer = actor.tell(&message)?;
    actor.site.ledger.refused();
    expect(matches!(answer.status, 401 | 429), || "a wrong key".to_owned(), &answer)
}

/// What a monitor asks.
pub fn watch(actor: &mut Actor<'_>) -> Result<(), String> {
    let metrics = wire::fetch(actor.site.address, "/metrics")?;
    let measured = metrics.status == 200 && metrics.text().contains("kernos_sessions");
    expect(measured, || "GET /metrics".to_owned(), &metrics)?;
    let ready = wire::fetch(actor.site.address, "/ready")?;
    let is_ready = ready.status == 200 && ready.message()["ready"] == true;
    expect(is_ready, || "GET /ready".to_owned(), &ready)
}

fn call(actor: &Actor<'_>, words: &[&str]) -> Message {
    wire::modern(&actor.key, "tools/call", wire::run(words))
}

fn send(connection: &mut Connection, message: &Message) -> Result<(), String> {
    connection.send("POST", &message.headers, &message.body).map_err(|error| format!("to send: {error}"))
}

fn hang_up(connection: &Connection) -> Result<(), String> {
    connection.stream.get_ref().shutdown(Shutdown::Both).map_err(|error| format!("to hang up: {error}"))
}
