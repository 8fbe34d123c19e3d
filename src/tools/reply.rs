//! What a tool answers, for the one who asked and for the record.

use serde::Serialize;
use serde_json::Value;

/// How calls can come out: the values of the metrics' label `outcome`.
pub const OUTCOMES: [&str; 11] = [
    "exited",
    "signalled",
    "not-started",
    "timed-out",
    "cancelled",
    "revoked",
    "output-limit",
    "denied",
    "refused",
    "failed",
    "panicked",
];

/// How programs can come out: the same for programs.
pub const PROGRAM_OUTCOMES: [&str; 3] = ["succeeded", "failed", "not-started"];

/// The answer of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What conforms to the tool's output schema; none where nothing ran.
    pub structured: Option<Value>,
    /// The same as text, or why nothing ran.
    pub text: String,
    /// Whether the call failed as a call. A command that ended with a status of its own did not.
    pub is_error: bool,
    /// What the record and the metrics say of it.
    pub account: Account,
}

/// What was decided about a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The policy allowed it.
    Allowed,
    /// The policy, or the tool's own contract, did not.
    #[default]
    Denied,
    /// It was turned away at the door: no key, too many calls, no record, no such tool.
    Refused,
}

/// Facts about a call: never the output's bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// What was decided.
    pub decision: Decision,
    /// The rules that decided, joined by commas.
    pub rule: Option<String>,
    /// Why not, as a label: `arguments`, `syntax`, a denial's code.
    pub reason: Option<&'static str>,
    /// The words of the command line, where the tool has one, as others may see them.
    pub command: Vec<String>,
    /// The shell's status.
    pub status: Option<i32>,
    /// One of [`OUTCOMES`].
    pub outcome: &'static str,
    /// The programs that ran, each with its own outcome.
    pub programs: Vec<(String, &'static str)>,
    /// Whether output was cut.
    pub truncated: bool,
}

impl Reply {
    /// The answer *no*: nothing ran, and the text says what would be right.
    pub fn denied(reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            structured: None,
            text: text.into(),
            is_error: true,
            account: Account {
                decision: Decision::Denied,
                reason: Some(reason),
                outcome: "denied",
                ..Account::default()
            },
        }
    }

    /// The answer *not now*: turned away before anything was judged.
    pub fn refused(reason: &'static str, text: impl Into<String>) -> Self {
        let mut reply = Self::denied(reason, text);
        reply.account.decision = Decision::Refused;
        reply.account.outcome = "refused";
        reply
    }

    /// The answer to a call whose permission was withdrawn before it ran.
    pub fn revoked() -> Self {
        let text = "what this key may do was changed before this call ran: nothing ran";
        Self::ended("revoked", "revoked", text)
    }

    /// The answer to a call that was taken back before its turn came.
    pub fn cancelled() -> Self {
        let text = "the call was cancelled before its turn came: nothing ran";
        Self::ended("cancelled", "cancelled", text)
    }

    /// The answer to a call that whoever runs this host ended before its turn came; `reason` is the record's word for it.
    pub fn stopped(reason: &'static str) -> Self {
        let text = "the operator of this host ended the call before its turn came: nothing ran";
        Self::ended(reason, "cancelled", text)
    }

    /// The answer to a call that was ended before it began.
    fn ended(reason: &'static str, outcome: &'static str, text: &'static str) -> Self {
        let mut reply = Self::refused(reason, text);
        reply.account.outcome = outcome;
        reply
    }
}
