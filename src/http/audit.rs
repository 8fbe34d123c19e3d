//! What is put on record: one event a decision.
//!
//! Never a key, an argument that the policy calls secret, standard input, or a byte of output.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::redact::redacted;
use super::trace::Trace;
use crate::tools::{Account, Decision};
use crate::vocab::{Secret, escaped};

/// A command is cut at this length: long enough for what people type, short enough for a datagram.
const COMMAND_MAX: usize = 16 * 1024;

/// The record's word for a call of a tool that there is not, or not for its caller.
pub(super) const NO_TOOL: &str = "tool";

/// A decision. Its fields are the record's, `key` being `KERNOS_KEY` in the journal and `key` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Event {
    /// Whose key it was; none where it was no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    pub decision: Decision,
    /// The rules that allowed it, or the one that did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why not, as a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The words as a JSON array.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The digest of the whole command, where it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// How many refusals it stands for, where it is not one; they came within a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// Where it came from.
    pub from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The caller's own trace, and the operation in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
}

impl Event {
    /// The event of a call that was answered. `presented` is the key itself, which must not be in it.
    pub(super) fn of_call(
        key: &str,
        presented: Option<&Secret>,
        tool: &str,
        account: &Account,
        duration: Duration,
    ) -> Self {
        let words: Vec<String> = account.command.iter().map(|word| redacted(word, presented)).collect();
        let (command, command_sha256) = match &words[..] {
            [] => (None, None),
            words => {
                let (text, digest) = written(words);
                (Some(text), digest)
            }
        };
        Self {
            key: Some(key.to_owned()),
            tool: Some(escaped(&redacted(tool, presented))),
            decision: account.decision,
            rule: account.rule.clone(),
            reason: account.reason,
            command,
            command_sha256,
            outcome: Some(account.outcome),
            status: account.status,
            ..Self::refused("", None, duration)
        }
    }

    /// The event of a request that was turned away, and whose key it had if that is known.
    pub(super) fn refused(reason: &'static str, key: Option<String>, duration: Duration) -> Self {
        Self {
            key,
            tool: None,
            decision: Decision::Refused,
            rule: None,
            reason: Some(reason),
            command: None,
            command_sha256: None,
            outcome: None,
            status: None,
            count: None,
            duration_us: Some(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
            from: String::new(),
            request_id: None,
            trace_id: None,
            parent_id: None,
        }
    }

    /// The event of several such requests.
    pub(super) fn folded(reason: &'static str, key: Option<String>, from: String, count: u64) -> Self {
        Self { count: Some(count), duration_us: None, from, ..Self::refused(reason, key, Duration::ZERO) }
    }

    /// Where it came from, and as which request.
    pub(super) fn at(self, from: IpAddr, request_id: &str) -> Self {
        Self { from: from.to_string(), request_id: Some(request_id.to_owned()), ..self }
    }

    /// In which trace of the caller's it stands, if it said so.
    pub(super) fn within(self, trace: Option<&Trace>) -> Self {
        let (trace_id, parent_id) =
            trace.map(|trace| (trace.trace_id.clone(), trace.parent_id.clone())).unzip();
        Self { trace_id, parent_id, ..self }
    }

    /// The event in one sentence.
    pub(super) fn sentence(&self) -> String {
        let key = self.key.as_deref().unwrap_or("nobody known");
        let tool = match self.reason {
            // A name that anybody made up could be read as the rest of the sentence.
            Some(NO_TOOL) => "an unknown tool",
            _ => self.tool.as_deref().unwrap_or("a request"),
        };
        let mut text = match self.decision {
            Decision::Allowed => format!("{tool} by {key}: {}", self.outcome.unwrap_or("allowed")),
            Decision::Denied => format!("{tool} by {key}: denied"),
            Decision::Refused => format!("{tool} by {key}: refused"),
        };
        if let Some(count) = self.count {
            let _ = write!(text, " {count} more times");
        }
        if let Some(status) = self.status {
            let _ = write!(text, " {status}");
        }
        if let Some(reason) = self.reason {
            let _ = write!(text, " ({reason})");
        }
        if let Some(command) = &self.command {
            let _ = write!(text, " {command}");
        }
        text
    }

    /// syslog(3)'s severity: a call is information, a *no* a notice, an unknown caller a warning.
    pub(super) fn priority(&self) -> u8 {
        match self.decision {
            Decision::Allowed => 6,
            Decision::Denied => 5,
            Decision::Refused => 4,
        }
    }
}

/// The words as a JSON array, cut, and the digest of the whole where it was.
fn written(words: &[String]) -> (String, Option<String>) {
    let whole = escaped(&serde_json::to_string(words).expect("strings always serialise"));
    if whole.len() <= COMMAND_MAX {
        return (whole, None);
    }
    let digest = crate::vocab::hex(&Sha256::digest(whole.as_bytes()));
    let end = (0..=COMMAND_MAX).rev().find(|end| whole.is_char_boundary(*end)).unwrap_or(0);
    (format!("{}…", &whole[..end]), Some(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_in_which_nothing_moves_the_cursor() {
        let words = ["echo".to_owned(), "a\n\u{1b}[2J\u{9b}\u{202e}\"é".to_owned()];
        assert_eq!(written(&words), (r#"["echo","a\n\u001b[2J\u009b\u202e\"é"]"#.to_owned(), None));
    }

    #[test]
    fn a_long_command_is_cut_between_characters_and_told_by_its_digest() {
        let (text, digest) = written(&["é".repeat(20_000)]);
        assert!(text.len() <= COMMAND_MAX + "…".len() && text.ends_with("é…"));
        assert_eq!(digest.map(|digest| digest.len()), Some(64));
    }

    #[test]
    fn an_event_in_one_sentence_that_no_name_can_forge() {
        let account = Account {
            decision: Decision::Allowed,
            outcome: "exited",
            status: Some(1),
            command: vec!["ls".to_owned(), "x".to_owned()],
            ..Account::default()
        };
        let event = Event::of_call("alice", None, "shell_execute", &account, Duration::from_millis(1));
        assert_eq!(event.sentence(), r#"shell_execute by alice: exited 1 ["ls","x"]"#);
        let forged = Account { reason: Some("tool"), decision: Decision::Refused, ..Account::default() };
        let forged = Event::of_call("alice", None, "ls by bob: exited 0", &forged, Duration::ZERO);
        assert_eq!(forged.sentence(), "an unknown tool by alice: refused (tool)");
        assert_eq!(forged.tool.as_deref(), Some("ls by bob: exited 0"));
        let refused = Event::refused("unknown", None, Duration::ZERO);
        assert_eq!(refused.sentence(), "a request by nobody known: refused (unknown)");
        let folded = Event::folded("unknown", None, "192.0.2.1".to_owned(), 7);
        assert_eq!(folded.sentence(), "a request by nobody known: refused 7 more times (unknown)");
    }
}
