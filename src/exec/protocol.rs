//! The messages between the daemon and the executor: JSON behind a length of four bytes.
//!
//! Over the control socket (the executor's descriptor 0) go [`Settings`] once, a [`Greeting`] back, and then
//! a [`Hire`] for each worker, with the socket that the worker is to serve. Over a worker's socket go a
//! [`Request::Run`] with the ends of the pipes, perhaps a [`Request::Stop`], and one [`Report`] back: then
//! the next call. A [`Request::Measure`] is answered at any time. A socket that is closed means: end everything that was started.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::outcome::{StageOutcome, Usage};

const LENGTH: usize = size_of::<u32>();

/// The room that is kept for the next message; the rare large one gives its own back.
const KEPT: usize = 32 * 1024;

/// Whom the executor becomes, and whose files are not to be trusted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    /// User, group and supplementary groups; `None` to stay who it is.
    pub(super) identity: Option<(u32, u32, Vec<u32>)>,
    /// The users of kernos with their groups: a program that one of them can change is not picked up again.
    pub(super) users: Vec<(u32, Vec<u32>)>,
}

/// The executor is ready, or why it is not.
pub(super) type Greeting = Result<(), String>;

/// One more worker, for the socket that comes along.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hire;

/// What the daemon asks of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request<P> {
    /// Run this. Along come the ends of the pipes for standard output, standard error and, if `stdin`, for
    /// input.
    Run {
        /// The [`crate::policy::Plan`].
        plan: P,
        /// Whether there is any input.
        stdin: bool,
    },
    /// Say what the call has spent. Without one it is nothing.
    Measure,
    /// End what runs. Without a call it means nothing: the call may have ended meanwhile.
    Stop,
}

/// What a worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// To [`Request::Measure`].
    Usage(Usage),
    /// To [`Request::Run`], once.
    Report(Report),
}

/// What became of a call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    /// The stages in order.
    pub(super) stages: Vec<StageOutcome>,
    /// How the line ended.
    pub(super) end: End,
    /// How long it took.
    pub(super) took: Duration,
    /// Whether the worker serves no further call.
    pub(super) last: bool,
}

/// How a line ended, as a worker sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    /// By itself.
    Finished,
    /// Nothing of it could start.
    NotStarted(String),
    /// At its deadline.
    TimedOut,
    /// Because the daemon said so, or is gone.
    Stopped,
}

/// A message as it is sent.
pub(super) fn framed(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LENGTH];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - LENGTH).map_err(io::Error::other)?;
    bytes[..LENGTH].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// The bytes that have come, until they are messages.
#[derive(Debug, Default)]
pub(super) struct Frames(pub(super) Vec<u8>);

impl Frames {
    /// The next message, once all of it is there.
    pub(super) fn next<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        let Some((length, rest)) = self.0.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.0.drain(..LENGTH + length);
        self.0.shrink_to(KEPT);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_when_its_last_byte_is_there() {
        let bytes = framed(&"hello").unwrap();
        let mut frames = Frames::default();
        for byte in &bytes[..bytes.len() - 1] {
            frames.0.push(*byte);
            assert_eq!(frames.next::<String>().unwrap(), None);
        }
        frames.0.push(b'"');
        assert_eq!(frames.next::<String>().unwrap().as_deref(), Some("hello"));
        assert_eq!(frames.next::<String>().unwrap(), None);
    }

    #[test]
    fn two_messages_at_once_are_two_messages() {
        let mut frames = Frames([framed(&1_u8).unwrap(), framed(&2_u8).unwrap()].concat());
        assert_eq!([frames.next().unwrap(), frames.next().unwrap()], [Some(1_u8), Some(2)]);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        assert!(Frames(vec![1, 0, 0, 0, b'x']).next::<String>().is_err());
    }
}
