//! An ordinary agent: what it waits for its answers, whoever else is at the door.
//!
//! It calls from a thread of its own and blocks, so that no attack of this program is in its way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::besieged::key;
use super::http::Connection;
use super::wire::{self, Message, PATIENCE};

/// After so many failures in one turn there is nothing to measure.
const ENOUGH: usize = 3;

/// A median of fewer calls says nothing: a slow turn goes on until there are so many, or far beyond its time.
const CALLS_MIN: usize = 25;

/// More calls say no more, and each fresh connection leaves a port that cannot be used for a while.
const CALLS_MAX: usize = 2000;

/// How Bob calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// What he asks for.
    pub call: Call,
    /// Whether each call opens a connection.
    pub fresh: bool,
}

/// What Bob asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `tools/list`, which starts nothing.
    List,
    /// `shell_execute` of true(1).
    True,
}

/// All of them.
pub const WAYS: [Way; 4] = [
    Way { call: Call::List, fresh: false },
    Way { call: Call::List, fresh: true },
    Way { call: Call::True, fresh: false },
    Way { call: Call::True, fresh: true },
];

impl Way {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match (self.call, self.fresh) {
            (Call::List, false) => "tools/list, kept alive",
            (Call::List, true) => "tools/list, fresh",
            (Call::True, false) => "true, kept alive",
            (Call::True, true) => "true, fresh",
        }
    }
}

/// What a turn of one way brought.
#[derive(Default)]
pub struct Turn {
    latencies: Vec<Duration>,
    pub failures: Vec<String>,
}

impl Turn {
    /// The latency that so many hundredths of the calls stayed below.
    pub fn percentile(&self, part: usize) -> Option<Duration> {
        self.latencies.get(self.latencies.len() * part / 100).copied()
    }
}

/// Bob, with the connection that he keeps.
pub struct Bob {
    daemon: SocketAddr,
    kept: Option<Connection>,
}

impl Bob {
    /// Bob before his first call.
    pub fn new(daemon: SocketAddr) -> Self {
        Self { daemon, kept: None }
    }

    /// Calls one after another for so long; in each of the ways.
    pub fn turns(&mut self, time: Duration) -> [Turn; WAYS.len()] {
        WAYS.map(|way| self.turn(way, time))
    }

    fn turn(&mut self, way: Way, time: Duration) -> Turn {
        let message = message(way.call);
        let (mut turn, begun) = (Turn::default(), Instant::now());
        let goes_on = |turn: &Turn| {
            let (calls, took) = (turn.latencies.len(), begun.elapsed());
            let time = if calls < CALLS_MIN { 10 * time } else { time };
            took < time && calls < CALLS_MAX && turn.failures.len() < ENOUGH
        };
        while goes_on(&turn) {
            match self.call(way.fresh, &message) {
                Ok(took) => turn.latencies.push(took),
                Err(failure) => turn.failures.push(failure),
            }
        }
        turn.latencies.sort_unstable();
        turn
    }

    fn call(&mut self, fresh: bool, message: &Message) -> Result<Duration, String> {
        let begun = Instant::now();
        let kept = if fresh { None } else { self.kept.take() };
        let mut connection = match kept {
            Some(connection) => connection,
            None => wire::dial(self.daemon, "/mcp", PATIENCE)?,
        };
        let answer = wire::tell(&mut connection, message)?;
        let took = begun.elapsed();
        if !answer.is_good() {
            return Err(answer.shown());
        }
        if !fresh {
            self.kept = Some(connection);
        }
        Ok(took)
    }
}

fn message(call: Call) -> Message {
    let key = key("bob");
    match call {
        Call::List => wire::modern(&key, "tools/list", json!({})),
        Call::True => wire::modern(&key, "tools/call", wire::run(&["true"])),
    }
}
