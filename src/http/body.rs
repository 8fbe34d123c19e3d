//! A request's body while it is read: how long it takes, how large it is, how many values it holds, and whether it is
//! whole.
//!
//! Values are counted before anybody makes them: one of two bytes on the wire, such as `0,`, costs a hundred in memory
//! once it is parsed, and an object in an object seven hundred, so that a bound on bytes alone bounds nothing. Not a
//! parser: what is no JSON is left to one.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::under_way::{Crowded, UnderWay};

/// Bytes at most: 8 MiB of standard input, each byte written as `\u0000`, and the command besides.
pub(super) const MAX: usize = 64 << 20;

/// Bytes of a request that opens a session, which is kept as long as the session is there.
pub(super) const OPENING_MAX: usize = 64 << 10;

/// Enough for the largest body at 5 Mbit/s: whoever is slower keeps a connection, and memory, for nothing.
const WITHIN: Duration = Duration::from_secs(120);

/// More than the words of the longest command line: each costs nine bytes of its 1 MiB at least.
const VALUES_MAX: usize = 1 << 17;

/// Bytes that a value takes once it is parsed, measured and rounded up.
const VALUE_COST: usize = 256;

/// A body that breaks off when it is too late or too large.
pub(super) struct Bounded {
    body: Body,
    late: Pin<Box<Sleep>>,
    /// Bytes that it may still have.
    room: usize,
    most: usize,
    values: usize,
    text: Text,
    under_way: Arc<UnderWay>,
    fault: Fault,
}

/// Why a body has broken off, if it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<Course>);

#[derive(Debug, Default)]
struct Course {
    flaw: OnceLock<Flaw>,
    is_over: AtomicBool,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("Request Timeout: a body has {} seconds to come", WITHIN.as_secs())]
    Time,
    #[error("Payload Too Large: more than {most} bytes")]
    Size { most: usize },
    #[error("Payload Too Large: more than {VALUES_MAX} values in one request")]
    Values,
    #[error(transparent)]
    Crowded(#[from] Crowded),
    #[error("Bad Request: the body does not have the length or the chunks that its head announces")]
    Framing,
    #[error("Bad Request: another request of this session that is under way has this id")]
    Duplicate,
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
        self.0.is_over.load(Ordering::Acquire)
    }

    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.0.flaw.get().copied()
    }

    /// Notes what is wrong, unless something was already.
    pub(super) fn find(&self, flaw: Flaw) {
        let _ = self.0.flaw.set(flaw);
    }
}

#[cfg(test)]
impl Fault {
    /// Of a body that was read.
    pub(super) fn over() -> Self {
        let fault = Self::default();
        fault.0.is_over.store(true, Ordering::Release);
        fault
    }
}

impl Flaw {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Time => StatusCode::REQUEST_TIMEOUT,
            Self::Size { .. } | Self::Values => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Crowded(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Framing | Self::Duplicate => StatusCode::BAD_REQUEST,
        }
    }
}

impl Bounded {
    /// The same body of `most` bytes, and what tells why it broke off.
    pub(super) fn of(body: Body, most: usize, under_way: &Arc<UnderWay>) -> (Self, Fault) {
        Self::within(WITHIN, body, most, under_way)
    }

    fn within(time: Duration, body: Body, most: usize, under_way: &Arc<UnderWay>) -> (Self, Fault) {
        let (late, fault) = (Box::pin(sleep(time)), Fault::default());
        let under_way = Arc::clone(under_way);
        let bounded = Self {
            body,
            late,
            room: most,
            most,
            values: 0,
            text: Text::Outside,
            under_way,
            fault: fault.clone(),
        };
        (bounded, fault)
    }

    fn break_off(&self, flaw: Flaw) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.fault.find(flaw);
        Poll::Ready(Some(Err(axum::Error::new(flaw))))
    }

    /// Reckons with more of it.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        self.room = self.room.checked_sub(bytes.len()).ok_or(Flaw::Size { most: self.most })?;
        let before = self.values;
        self.count(bytes);
        if self.values > VALUES_MAX {
            return Err(Flaw::Values);
        }
        Ok(self.under_way.take(bytes.len() + (self.values - before) * VALUE_COST)?)
    }

    /// Counts what begins a list or an object, or the next member of one; a name and its place in an object count
    /// besides.
    fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.text = match (self.text, byte) {
                (Text::Outside, b'[' | b'{' | b',') => {
                    self.values += 1;
                    Text::Outside
                }
                (Text::Outside, b':') => {
                    self.values += 2;
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
        let taken = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(Ok(()), |bytes| self.take(bytes)),
            Some(Err(_)) => Err(Flaw::Framing),
            None => Ok(()),
        };
        taken.map_or_else(|flaw| self.break_off(flaw), |()| Poll::Ready(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        self.fault.0.is_over.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::http::under_way::Load;

    fn bounded(time: Duration, body: Body, most: usize) -> (Bounded, Fault) {
        Bounded::within(time, body, most, &Load::of(1).enter().unwrap())
    }

    fn values(pieces: &[&str]) -> usize {
        let (mut body, _) = bounded(WITHIN, Body::empty(), MAX);
        for piece in pieces {
            body.count(piece.as_bytes());
        }
        body.values
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, axum::Error>>());
        let (body, fault) = bounded(Duration::from_millis(10), never, MAX);
        assert!(body.collect().await.is_err());
        assert_eq!(fault.flaw(), Some(Flaw::Time));
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_read_no_further() {
        let (body, fault) = bounded(WITHIN, Body::from("12345"), 4);
        assert!(body.collect().await.is_err());
        assert_eq!((fault.flaw(), fault.is_over()), (Some(Flaw::Size { most: 4 }), true));
    }

    #[tokio::test]
    async fn lists_objects_and_their_members_count_and_text_does_not() {
        assert_eq!(values(&[r#"{"a":[1,2,{}]}"#]), 7);
        assert_eq!(values(&[r#"["a,[{:\",,","\\",1]"#]), 3);
    }

    #[tokio::test]
    async fn the_values_of_bodies_are_part_of_what_their_key_has() {
        let load = Load::of(9);
        let text = "[".repeat(VALUES_MAX);
        let bodies = (0..9).map(|_| Bounded::of(Body::from(text.clone()), MAX, &load.enter().unwrap()));
        // Those that were read stay, as their parsed values would.
        let mut bodies: Vec<_> = bodies.collect();
        for (body, _) in &mut bodies {
            let _ = body.frame().await;
        }
        let flaws: Vec<_> = bodies.iter().map(|(_, fault)| fault.flaw()).collect();
        assert_eq!(flaws[..3], [None; 3]);
        assert_eq!(flaws[3..], [Some(Flaw::Crowded(Crowded::Bytes)); 6]);
    }

    #[tokio::test]
    async fn the_pieces_in_which_a_body_comes_do_not_matter() {
        assert_eq!(values(&[r#"["a\"#, r#"",,"#, r#"",1"#, "]"]), 2);
    }
}
