//! What `shell_execute` answers: an outcome in the words of its output schema.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;

use crate::exec::{Captured, Ended, Outcome, StageOutcome};

/// The values of [`Answer::ended`].
const ENDINGS: [&str; 7] =
    ["exited", "signalled", "not-started", "timed-out", "cancelled", "revoked", "output-limit"];

/// What a command line did.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Answer {
    /// How it ended.
    #[schemars(extend("enum" = ENDINGS))]
    pub ended: &'static str,
    /// The shell's status of the last command: its exit code; 128 plus the signal; 124 when the time was up;
    /// 126 or 127 when it could not be started.
    pub status: i32,
    /// What was written to standard output, byte for byte.
    pub stdout: String,
    /// What was written to standard error, byte for byte.
    pub stderr: String,
    /// Seconds from start to end.
    pub execution_time: f64,
    /// Every command that ran, in order.
    pub stages: Vec<Stage>,
    /// The signal that ended the last command.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    pub signal: Option<i32>,
    /// Why the line did not run to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub error: Option<String>,
    /// Bytes of standard output that were left out because there were too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub stdout_omitted: Option<u64>,
    /// Where they are missing: that many bytes after the start of `stdout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub stdout_omitted_at: Option<usize>,
    /// Bytes of standard error that were left out because there were too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub stderr_omitted: Option<u64>,
    /// Where they are missing: that many bytes after the start of `stderr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub stderr_omitted_at: Option<usize>,
    /// The exact bytes in base64, only where they are not UTF-8; `stdout` then shows them approximately, and
    /// `stdout_omitted_at` counts in these bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub stdout_base64: Option<String>,
    /// The exact bytes in base64, only where they are not UTF-8; `stderr` then shows them approximately, and
    /// `stderr_omitted_at` counts in these bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub stderr_base64: Option<String>,
}

/// One command of the line.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Stage {
    /// The program.
    pub program: String,
    /// Its status, as above.
    pub status: i32,
    /// Why it could not be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub error: Option<String>,
}

impl Answer {
    /// Whether the line did not run to its end: an error of the call, whatever the status.
    pub(super) fn is_error(&self) -> bool {
        !matches!(self.ended, "exited" | "signalled")
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        let last = outcome.stages.last().map(|stage| stage.status);
        let (status, signal) = match &outcome.ended {
            Ended::Exited(code) => (i32::from(*code), None),
            Ended::Signalled(signal) => (128 + signal, Some(*signal)),
            Ended::NotStarted(_) => (last.unwrap_or(126), None),
            Ended::TimedOut => (124, None),
            // The line was killed: 128 + SIGKILL, unless its last command had ended by itself.
            Ended::Cancelled | Ended::Revoked | Ended::OutputLimit => (last.unwrap_or(137), None),
        };
        let stdout = Shown::from(outcome.stdout);
        let stderr = Shown::from(outcome.stderr);
        Self {
            ended: label(&outcome.ended),
            status,
            stdout: stdout.text,
            stderr: stderr.text,
            execution_time: outcome.took.as_secs_f64(),
            stages: outcome.stages.into_iter().map(Stage::from).collect(),
            signal,
            error: error(outcome.ended),
            stdout_omitted: stdout.omitted,
            stdout_omitted_at: stdout.omitted_at,
            stderr_omitted: stderr.omitted,
            stderr_omitted_at: stderr.omitted_at,
            stdout_base64: stdout.base64,
            stderr_base64: stderr.base64,
        }
    }
}

impl Stage {
    /// How it came out, as a label.
    pub(super) fn outcome(&self) -> &'static str {
        match self.status {
            _ if self.error.is_some() => "not-started",
            0 => "succeeded",
            _ => "failed",
        }
    }
}

impl From<StageOutcome> for Stage {
    fn from(stage: StageOutcome) -> Self {
        Self { program: stage.program, status: stage.status, error: stage.error }
    }
}

fn label(ended: &Ended) -> &'static str {
    match ended {
        Ended::Exited(_) => "exited",
        Ended::Signalled(_) => "signalled",
        Ended::NotStarted(_) => "not-started",
        Ended::TimedOut => "timed-out",
        Ended::Cancelled => "cancelled",
        Ended::Revoked => "revoked",
        Ended::OutputLimit => "output-limit",
    }
}

fn error(ended: Ended) -> Option<String> {
    let text = match ended {
        Ended::Exited(_) | Ended::Signalled(_) => return None,
        Ended::NotStarted(why) => why,
        Ended::TimedOut => {
            "the time was up and every process was ended; ask for a longer `timeout`".to_owned()
        }
        Ended::Cancelled => "the call was cancelled and every process was ended".to_owned(),
        Ended::Revoked => "the permission was withdrawn and every process was ended".to_owned(),
        Ended::OutputLimit => "there was too much output and every process was ended".to_owned(),
    };
    Some(text)
}

/// A captured stream as it is shown.
#[derive(Debug, PartialEq)]
struct Shown {
    text: String,
    omitted: Option<u64>,
    omitted_at: Option<usize>,
    base64: Option<String>,
}

impl From<Captured> for Shown {
    fn from(captured: Captured) -> Self {
        let Captured { head, tail, omitted } = captured;
        if omitted == 0 {
            let mut bytes = head;
            bytes.extend_from_slice(&tail);
            return Self::whole(bytes, None, None);
        }
        let (kept_head, kept_tail) = (at_character_end(&head), at_character_start(&tail));
        if let (Ok(first), Ok(last)) = (std::str::from_utf8(kept_head), std::str::from_utf8(kept_tail)) {
            let trimmed = (head.len() - first.len()) + (tail.len() - last.len());
            return Self {
                text: [first, last].concat(),
                omitted: Some(omitted + trimmed as u64),
                omitted_at: Some(first.len()),
                base64: None,
            };
        }
        let at = head.len();
        Self::whole([head, tail].concat(), Some(omitted), Some(at))
    }
}

impl Shown {
    fn whole(bytes: Vec<u8>, omitted: Option<u64>, omitted_at: Option<usize>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self { text, omitted, omitted_at, base64: None },
            Err(error) => Self {
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                omitted,
                omitted_at,
                base64: Some(STANDARD.encode(error.as_bytes())),
            },
        }
    }
}

/// The bytes without a character that the cut left incomplete at their end.
fn at_character_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

/// The bytes without the rest of a character that the cut left at their start.
fn at_character_start(bytes: &[u8]) -> &[u8] {
    let rest = bytes.iter().take(3).take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count();
    &bytes[rest..]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exec::StageEnd;

    fn captured(head: &[u8], tail: &[u8], omitted: u64) -> Shown {
        Shown::from(Captured { head: head.to_vec(), tail: tail.to_vec(), omitted })
    }

    fn text(text: &str, cut: Option<(u64, usize)>) -> Shown {
        let (omitted, omitted_at) = (cut.map(|cut| cut.0), cut.map(|cut| cut.1));
        Shown { text: text.to_owned(), omitted, omitted_at, base64: None }
    }

    #[test]
    fn a_stream_that_was_not_cut_is_shown_whole() {
        assert_eq!(captured("grü".as_bytes(), "ß\n".as_bytes(), 0), text("grüß\n", None));
        // The head may end within a character when nothing is missing between the two.
        assert_eq!(captured(b"\xc3", b"\xbc", 0), text("ü", None));
    }

    #[test]
    fn a_cut_within_a_character_leaves_whole_characters_and_counts_the_rest() {
        assert_eq!(captured(b"ab\xc3", b"\xbccd", 10), text("abcd", Some((12, 2))));
        assert_eq!(captured(b"a\xf0\x9f\x98", b"\x9f\x98\x80b", 1), text("ab", Some((7, 1))));
    }

    #[test]
    fn bytes_that_are_not_text_are_exact_in_base64() {
        let shown = |omitted, omitted_at| Shown {
            text: "a\u{fffd}b".to_owned(),
            omitted,
            omitted_at,
            base64: Some("Yf9i".to_owned()),
        };
        assert_eq!(captured(b"a\xffb", b"", 0), shown(None, None));
        assert_eq!(captured(b"a\xff", b"b", 5), shown(Some(5), Some(2)));
        // Text that breaks off at its end is not text either when nothing was cut.
        assert_eq!(captured(b"\xc3", b"", 0).base64, Some("ww==".to_owned()));
    }

    fn ended(ended: Ended, stages: &[i32]) -> Answer {
        let stage = |status: &i32| StageOutcome {
            program: "x".to_owned(),
            status: *status,
            ended: StageEnd::Exited(0),
            error: None,
        };
        Answer::from(Outcome {
            ended,
            stages: stages.iter().map(stage).collect(),
            stdout: Captured::default(),
            stderr: Captured::default(),
            took: Duration::from_millis(1500),
        })
    }

    #[test]
    fn every_ending_has_the_status_that_a_shell_would_show() {
        let seen = |answer: Answer| (answer.ended, answer.status, answer.signal, answer.is_error());
        assert_eq!(seen(ended(Ended::Exited(3), &[3])), ("exited", 3, None, false));
        assert_eq!(seen(ended(Ended::Signalled(9), &[137])), ("signalled", 137, Some(9), false));
        let not_started = Ended::NotStarted("no such file".to_owned());
        assert_eq!(seen(ended(not_started, &[127])), ("not-started", 127, None, true));
        assert_eq!(seen(ended(Ended::TimedOut, &[137])), ("timed-out", 124, None, true));
        assert_eq!(seen(ended(Ended::Cancelled, &[])), ("cancelled", 137, None, true));
        assert_eq!(seen(ended(Ended::Revoked, &[143])), ("revoked", 143, None, true));
        assert_eq!(seen(ended(Ended::OutputLimit, &[])), ("output-limit", 137, None, true));
        let all = [
            Ended::Exited(0),
            Ended::Signalled(1),
            Ended::NotStarted(String::new()),
            Ended::TimedOut,
            Ended::Cancelled,
            Ended::Revoked,
            Ended::OutputLimit,
        ];
        assert_eq!(all.map(|one| ended(one, &[]).ended), ENDINGS);
    }
}
