//! A request's body while it is read: how long it takes, how many values it holds, and whether it is whole.
//!
//! Values are counted before anybody makes them: a value of two bytes on the wire, such as `0,`, costs two hundred in memory once it is parsed, so that a bound on
//! bytes alone bounds nothing. Not a parser: what is no JSON is left to one. Nor a bound on bytes, which rmcp has.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// Enough for the largest body at 5 Mbit/s: whoever is slower keeps a connection, and memory, for nothing.
const WITHIN: Duration = Duration::from_secs(120);

/// More than the words of the longest command line: each costs nine bytes of its 1 MiB at least.
const VALUES_MAX: usize = 1 << 17;

/// A body that breaks off when it is too late, or once it holds more than [`VALUES_MAX`] values.
pub(super) struct Bounded {
    body: Body,
    late: Pin<Box<Sleep>>,
    values: usize,
    text: Text,
    fault: Fault,
}

/// Why a body has broken off, if it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<OnceLock<Flaw>>);

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("Request Timeout: a body has {} seconds to come", WITHIN.as_secs())]
    Time,
    #[error("Payload Too Large: more than {VALUES_MAX} values in one request")]
    Values,
    #[error("Bad Request: the body does not have the length or the chunks that its head announces")]
    Framing,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    AfterBackslash,
}

impl Fault {
    /// Whether nobody reads the body any more: it has come to its end, or is of no use.
    pub(super) fn is_over(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.0.get().copied()
    }
}

impl Flaw {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Time => StatusCode::REQUEST_TIMEOUT,
            Self::Values => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Framing => StatusCode::BAD_REQUEST,
        }
    }
}

impl Bounded {
    /// The same body, and what tells why it broke off.
    pub(super) fn of(body: Body) -> (Self, Fault) {
        Self::within(WITHIN, body)
    }

    fn within(time: Duration, body: Body) -> (Self, Fault) {
        let (late, fault) = (Box::pin(sleep(time)), Fault::default());
        (Self { body, late, values: 0, text: Text::Outside, fault: fault.clone() }, fault)
    }

    fn break_off(&self, flaw: Flaw) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let _ = self.fault.0.set(flaw);
        Poll::Ready(Some(Err(axum::Error::new(flaw))))
    }

    /// Counts what begins a list or an object, or the next member of one.
    fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.text = match (self.text, byte) {
                (Text::Outside, b'[' | b'{' | b',') => {
                    self.values += 1;
                    Text::Outside
                }
                (Text::Outside, b'"') | (Text::AfterBackslash, _) => Text::Inside,
                (Text::Inside, b'"') => Text::Outside,
                (Text::Inside, b'\\') => Text::AfterBackslash,
                (text, _) => text,
            };
        }
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.late.as_mut().poll(context).is_ready() {
            return self.break_off(Flaw::Time);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => self.count(frame.data_ref().map_or(&[], |bytes| bytes)),
            Some(Err(_)) => return self.break_off(Flaw::Framing),
            None => {}
        }
        if self.values > VALUES_MAX {
            return self.break_off(Flaw::Values);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn values(pieces: &[&str]) -> usize {
        let (mut body, _) = Bounded::of(Body::empty());
        for piece in pieces {
            body.count(piece.as_bytes());
        }
        body.values
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, axum::Error>>());
        let (body, fault) = Bounded::within(Duration::from_millis(10), never);
        assert!(body.collect().await.is_err());
        assert_eq!(fault.flaw(), Some(Flaw::Time));
    }

    #[tokio::test]
    async fn lists_objects_and_their_members_count_and_text_does_not() {
        assert_eq!(values(&[r#"{"a":[1,2,{}]}"#]), 5);
        assert_eq!(values(&[r#"["a,[{\",,","\\",1]"#]), 3);
    }

    #[tokio::test]
    async fn the_pieces_in_which_a_body_comes_do_not_matter() {
        assert_eq!(values(&[r#"["a\"#, r#"",,"#, r#"",1"#, "]"]), 2);
    }
}
