//! What became of a command line: facts only, as the kernel told them.
//!
//! How they are shown to an agent is for `tools`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What became of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Every stage that was to start, in order. What a connector skipped is not among them.
    pub stages: Vec<StageOutcome>,
    /// What it wrote to its standard output.
    pub stdout: Captured,
    /// What it wrote to its standard error.
    pub stderr: Captured,
    /// From the arrival of the plan to the end of the last process.
    pub took: Duration,
}

/// How a command line ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its last stage exited by itself.
    Exited(u8),
    /// Its last stage was killed by this signal, which kernos did not send.
    Signalled(i32),
    /// Its last stage, or the whole line, could not start, and why.
    NotStarted(String),
    /// The deadline passed.
    TimedOut,
    /// The caller took it back, or kernos is stopping.
    Cancelled,
    /// The caller may not run it any more.
    Revoked,
    /// It wrote more than its limit of output.
    OutputLimit,
}

/// What became of one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageOutcome {
    /// The name that it was called by.
    pub program: String,
    /// As a shell would say it: the exit code, 128 and the signal, or 1, 126 or 127 for a stage that did not
    /// start.
    pub status: i32,
    /// The raw fact.
    pub ended: StageEnd,
    /// Why it could not start.
    pub error: Option<String>,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageEnd {
    /// It exited with this code.
    Exited(u8),
    /// It was killed by this signal.
    Signalled(i32),
    /// It never ran.
    NotStarted,
}

/// The beginning and the end of what was written to a stream, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes, where there were more.
    pub tail: Vec<u8>,
    /// How many bytes between the two were dropped.
    pub omitted: u64,
}

/// What a command line that runs has spent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time of all its processes, those that have ended included.
    pub cpu: Duration,
    /// Bytes that its processes have in memory now. What several share counts for each.
    pub memory: u64,
    /// How many processes it has now.
    pub processes: u64,
}

/// Why a command line is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The caller took it back.
    Cancelled,
    /// The caller's key was revoked.
    Revoked,
    /// kernos is stopping.
    Shutdown,
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cancelled | Stop::Shutdown => Self::Cancelled,
            Stop::Revoked => Self::Revoked,
        }
    }
}

impl StageEnd {
    /// The status that a shell would give it; `unstarted` for a stage that never ran.
    pub(super) fn status(self, unstarted: i32) -> i32 {
        match self {
            Self::Exited(code) => i32::from(code),
            Self::Signalled(signal) => 128 + signal,
            Self::NotStarted => unstarted,
        }
    }
}

impl StageOutcome {
    /// How a line of which this is the last stage ended.
    pub(super) fn line_ended(&self) -> Ended {
        match self.ended {
            StageEnd::Exited(code) => Ended::Exited(code),
            StageEnd::Signalled(signal) => Ended::Signalled(signal),
            StageEnd::NotStarted => Ended::NotStarted(self.error.clone().unwrap_or_default()),
        }
    }
}
