//! What agents of the older era do: they open a session, work in it, and end it, or not.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::actor::{Actor, expect, expect_printed};
use super::modern::FOREVER;
use crate::http::Connection;
use crate::wire;

/// A session from its beginning to its end.
pub fn work_in_session(actor: &mut Actor<'_>) -> Result<(), String> {
    let (mut connection, session) = open(actor)?;
    list(actor, &mut connection, &session)?;
    call(actor, &mut connection, &session)?;
    actor.site.end_session(actor.name, &session)
}

/// A session that nobody comes back to.
pub fn leave_session(actor: &mut Actor<'_>) -> Result<(), String> {
    let (mut connection, session) = open(actor)?;
    call(actor, &mut connection, &session)?;
    actor.site.leave(actor.name, session)
}

/// A session that is opened, and never said to be.
pub fn begin_session(actor: &mut Actor<'_>) -> Result<(), String> {
    let answer = actor.tell(&wire::hello(&actor.key))?;
    expect(answer.status == 200, || "initialize".to_owned(), &answer)?;
    let session = answer.session.ok_or("initialize gave no session")?;
    actor.site.end_session(actor.name, &session)
}

/// A session with a stream that stands, and whose reader goes away.
pub fn listen_in_session(actor: &mut Actor<'_>) -> Result<(), String> {
    let (_, session) = open(actor)?;
    let mut connection = actor.site.dial("/mcp")?;
    let headers = wire::within(&actor.key, &session);
    connection.send("GET", &headers, "").map_err(|error| format!("GET of a stream: {error}"))?;
    thread::sleep(Duration::from_millis(200));
    drop(connection);
    actor.site.end_session(actor.name, &session)
}

/// A running call that is taken back.
pub fn cancel(actor: &mut Actor<'_>) -> Result<(), String> {
    let (mut other, session) = open(actor)?;
    let mark = actor.site.ledger.fresh_mark();
    let words = ["touch", &mark, ";", "sleep", FOREVER];
    let message = wire::legacy(&actor.key, &session, 7, "tools/call", &wire::run(&words));
    let mut connection = actor.site.dial("/mcp")?;
    connection.send("POST", &message.headers, &message.body).map_err(|error| format!("to send: {error}"))?;
    actor.site.await_mark(&mark)?;
    actor.site.ledger.begun(&mark, "cancelled");
    let cancelled = wire::notice(&actor.key, &session, "notifications/cancelled", &json!({ "requestId": 7 }));
    let answer = wire::tell(&mut other, &cancelled)?;
    expect(answer.status == 202, || "notifications/cancelled".to_owned(), &answer)?;
    // The protocol wants no answer to what was taken back; whether its stream ends is for the server to say.
    call(actor, &mut other, &session)?;
    drop(connection);
    actor.site.end_session(actor.name, &session)
}

fn open(actor: &Actor<'_>) -> Result<(Connection, String), String> {
    let mut connection = actor.site.dial("/mcp")?;
    let opened = wire::open_session(&mut connection, &actor.key);
    let session = opened.map_err(|answer| format!("to open a session: {}", answer.shown()))?;
    Ok((connection, session))
}

fn list(actor: &Actor<'_>, connection: &mut Connection, session: &str) -> Result<(), String> {
    let message = wire::legacy(&actor.key, session, 1, "tools/list", &json!({}));
    let answer = wire::tell(connection, &message)?;
    expect(answer.is_good(), || "tools/list in a session".to_owned(), &answer)
}

fn call(actor: &Actor<'_>, connection: &mut Connection, session: &str) -> Result<(), String> {
    let words = ["echo", "in a session"];
    let message = wire::legacy(&actor.key, session, 2, "tools/call", &wire::run(&words));
    let answer =
        wire::tell(connection, &message).map_err(|error| format!("{words:?} in a session: {error}"))?;
    expect_printed(&words, &actor.judge(&words, &answer, "exited")?, "in a session\n", 0)
}
