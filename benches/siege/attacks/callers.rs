//! Attacks by what is asked: a few callers, a thread each.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Means;
use crate::besieged::key;
use crate::http::Connection;
use crate::wire::{self, Answer, Message};

/// What one thread does until the attack ends.
pub type Caller = fn(SocketAddr, &Means);

/// Half of them over a connection that they keep.
pub const WRONG_KEYS: [Caller; 4] = [
    |daemon, means| guess(daemon, means, true),
    |daemon, means| guess(daemon, means, true),
    |daemon, means| guess(daemon, means, false),
    |daemon, means| guess(daemon, means, false),
];

/// Calls at once of one key: four times what it may have running, so that its queue is full as well.
pub const GREEDY: [Caller; 32] = [call; 32];

/// Answers that are not read. They are few, since each may cost the daemon hundreds of MiB.
pub const UNREAD: [Caller; 12] = [leave_unread; 12];

/// Callers that open sessions.
pub const SESSIONS: [Caller; 4] = [open_sessions; 4];

/// 1,000 a second, of four callers.
const GUESS: Duration = Duration::from_millis(4);

/// An attacker gives up sooner than Bob, so that the attack ends when it should.
const PATIENCE: Duration = Duration::from_secs(1);

/// After a failure this passes before the next attempt.
const AGAIN: Duration = Duration::from_millis(20);

/// Tries one wrong key after another.
fn guess(daemon: SocketAddr, means: &Means, keep: bool) {
    let (mut connection, mut due, mut number) = (None, Instant::now(), 0_u64);
    while !means.is_ended() {
        number += 1;
        let key = format!("kernos_siege_guess_{number:016}");
        let answer = ask(daemon, &mut connection, &wire::modern(&key, "tools/list", json!({})));
        count(means, &answer);
        if !keep {
            connection = None;
        }
        due += GUESS;
        sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Calls as fast as it is answered.
fn call(daemon: SocketAddr, means: &Means) {
    let message = wire::modern(&key("mallory"), "tools/call", wire::run(&["true"]));
    let mut connection = None;
    while !means.is_ended() {
        let answer = ask(daemon, &mut connection, &message);
        count(means, &answer);
    }
}

/// Calls for a large answer, and looks at its first byte only.
fn leave_unread(daemon: SocketAddr, means: &Means) {
    let words = ["yes", "|", "head", "-c", "67108864"];
    let message = wire::modern(&key("mallory"), "tools/call", wire::run(&words));
    let Ok(mut connection) = wire::dial(daemon, "/mcp", PATIENCE) else {
        return Means::count(&means.failed);
    };
    if connection.send("POST", &message.headers, &message.body).is_err() {
        return Means::count(&means.failed);
    }
    while !means.is_ended() {
        if connection.stream.get_ref().peek(&mut [0]).is_ok_and(|length| length > 0) {
            Means::count(&means.opened);
            break;
        }
    }
    while !means.is_ended() {
        sleep(AGAIN);
    }
}

/// Opens sessions as fast as it can, also when it is told that there are too many; ends them when the attack ends.
fn open_sessions(daemon: SocketAddr, means: &Means) {
    let key = key("mallory");
    let (mut connection, mut sessions) = (None, Vec::new());
    while !means.is_ended() {
        let answer = ask(daemon, &mut connection, &wire::hello(&key));
        count(means, &answer);
        sessions.extend(answer.ok().and_then(|answer| answer.session));
    }
    let Ok(mut connection) = wire::dial(daemon, "/mcp", PATIENCE) else { return };
    for session in sessions {
        let _ = wire::close_session(&mut connection, &key, &session);
    }
}

/// Asks over the connection, or over another one where there is none or it fails.
fn ask(daemon: SocketAddr, kept: &mut Option<Connection>, message: &Message) -> Result<Answer, String> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => wire::dial(daemon, "/mcp", PATIENCE)?,
    };
    let answer = wire::tell(&mut connection, message)?;
    *kept = Some(connection);
    Ok(answer)
}

fn count(means: &Means, answer: &Result<Answer, String>) {
    match answer {
        Ok(answer) if answer.is_good() => Means::count(&means.answered),
        Ok(_) => Means::count(&means.refused),
        Err(_) => {
            Means::count(&means.failed);
            sleep(AGAIN);
        }
    }
}
