//! Somebody who works with the daemon: one key, one thing after another, each with the answer that it must have.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ledger::Ledger;
use crate::besieged::{Besieged, key};
use crate::http::Connection;
use crate::wire::{self, Answer, Message};

/// All works at once on a machine that may be busy: what takes longer than this is not slow but stuck.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Sessions that may be left behind at a time: fewer than one key may have.
const LEFT_MAX: usize = 100;

/// What those who work have in common.
pub struct Site {
    pub address: SocketAddr,
    pub ledger: std::sync::Arc<Ledger>,
    pub ended: AtomicBool,
    work: PathBuf,
    left: Mutex<Vec<(&'static str, String)>>,
}

/// Somebody who works.
pub struct Actor<'s> {
    pub site: &'s Site,
    pub name: &'static str,
    pub key: String,
    kept: Option<Connection>,
}

impl Site {
    pub fn new(daemon: &Besieged, ledger: std::sync::Arc<Ledger>) -> Self {
        let (address, work) = (daemon.address(), daemon.work());
        Self { address, ledger, ended: AtomicBool::new(false), work, left: Mutex::default() }
    }

    /// Leaves a session behind, and ends the one that was left first when there are many.
    pub fn leave(&self, name: &'static str, session: String) -> Result<(), String> {
        let oldest = {
            let mut left = self.left.lock().expect("nobody panics with it");
            left.push((name, session));
            (left.len() > LEFT_MAX).then(|| left.remove(0))
        };
        oldest.map_or(Ok(()), |(name, session)| self.end_session(name, &session))
    }

    /// Ends every session that was left behind.
    pub fn clear(&self) {
        let left = std::mem::take(&mut *self.left.lock().expect("nobody panics with it"));
        for (name, session) in left {
            self.ledger.done(self.end_session(name, &session));
        }
    }

    /// Ends a session, which must be there.
    pub fn end_session(&self, name: &str, session: &str) -> Result<(), String> {
        let mut connection = self.dial("/mcp")?;
        let answer = wire::close_session(&mut connection, &key(name), session)?;
        expect(answer.status == 204, || format!("DELETE of session {session} of {name}"), &answer)
    }

    pub fn dial(&self, path: &str) -> Result<Connection, String> {
        wire::dial(self.address, path, PATIENCE)
    }

    /// Waits until a command has made the file of this name, and removes it.
    pub fn await_mark(&self, mark: &str) -> Result<(), String> {
        let (file, begun) = (self.work.join(mark), Instant::now());
        while !file.exists() {
            if begun.elapsed() > PATIENCE {
                return Err(format!("the call that makes the file {mark} has not begun within {PATIENCE:?}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        std::fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))
    }
}

impl<'s> Actor<'s> {
    pub fn new(site: &'s Site, name: &'static str) -> Self {
        Self { site, name, key: key(name), kept: None }
    }

    /// A call of the newer era over the connection that is kept; gives what it answers.
    pub fn call(
        &mut self,
        words: &[&str],
        timeout: Option<u64>,
        outcome: &'static str,
    ) -> Result<Value, String> {
        let mut parameters = wire::run(words);
        if let Some(seconds) = timeout {
            parameters["arguments"]["timeout"] = json!(seconds);
        }
        let message = wire::modern(&self.key, "tools/call", parameters);
        let answer = self.tell(&message).map_err(|error| format!("{words:?}: {error}"))?;
        self.judge(words, &answer, outcome)
    }

    /// Sends a message over the connection that is kept.
    pub fn tell(&mut self, message: &Message) -> Result<Answer, String> {
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => self.site.dial("/mcp")?,
        };
        let answer = wire::tell(&mut connection, message)?;
        self.kept = Some(connection);
        Ok(answer)
    }

    /// Notes an answer to a call, which must have this outcome; gives its structured content.
    pub fn judge(&self, words: &[&str], answer: &Answer, outcome: &'static str) -> Result<Value, String> {
        self.site.ledger.answered(&answer.request_id, outcome);
        let result = &mut answer.message()["result"];
        let is_error = result["isError"].as_bool();
        let content = result["structuredContent"].take();
        let ended = content["ended"].as_str();
        let right = match outcome {
            "denied" => is_error == Some(true) && ended.is_none(),
            "exited" => ended == Some(outcome) && is_error != Some(true),
            _ => ended == Some(outcome),
        };
        expect(answer.status == 200 && right, || format!("{words:?}, which was to be {outcome}"), answer)?;
        Ok(content)
    }
}

/// An error with the request and its answer, unless the answer was the right one.
pub fn expect(right: bool, request: impl FnOnce() -> String, answer: &Answer) -> Result<(), String> {
    if right { Ok(()) } else { Err(format!("{}: {}", request(), answer.shown())) }
}

/// Likewise, of what a command has printed.
pub fn expect_printed(words: &[&str], content: &Value, stdout: &str, status: i64) -> Result<(), String> {
    if content["stdout"] == stdout && content["status"] == status {
        return Ok(());
    }
    let shown = content.to_string();
    Err(format!("{words:?}, which was to print {stdout:?} with status {status}: {shown:.300}"))
}
