//! How many values a body holds, counted while it is read and before anybody makes values of it.
//!
//! A value of two bytes on the wire, such as `0,`, costs two hundred in memory once it is parsed, so that a bound on
//! bytes alone bounds nothing. Not a parser: what is no JSON is left to one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

/// More than the words of the longest command line: each costs nine bytes of its 1 MiB at least.
pub(super) const MAX: usize = 1 << 17;

/// A body that breaks off once it holds more than [`MAX`] values.
pub(super) struct Counted {
    body: Body,
    values: usize,
    text: Text,
    exceeded: Exceeded,
}

/// Whether a body has broken off.
#[derive(Clone, Debug, Default)]
pub(super) struct Exceeded(Arc<AtomicBool>);

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    AfterBackslash,
}

impl Exceeded {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counted {
    /// The same body, and what tells whether it broke off.
    pub(super) fn of(body: Body) -> (Self, Exceeded) {
        let exceeded = Exceeded::default();
        (Self { body, values: 0, text: Text::Outside, exceeded: exceeded.clone() }, exceeded)
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

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            self.count(bytes);
        }
        if self.values > MAX {
            self.exceeded.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new("too many values"))));
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
    use super::*;

    fn values(pieces: &[&str]) -> usize {
        let (mut counted, _) = Counted::of(Body::empty());
        for piece in pieces {
            counted.count(piece.as_bytes());
        }
        counted.values
    }

    #[test]
    fn lists_objects_and_their_members_count_and_text_does_not() {
        assert_eq!(values(&[r#"{"a":[1,2,{}]}"#]), 5);
        assert_eq!(values(&[r#"["a,[{\",,","\\",1]"#]), 3);
    }

    #[test]
    fn the_pieces_in_which_a_body_comes_do_not_matter() {
        assert_eq!(values(&[r#"["a\"#, r#"",,"#, r#"",1"#, "]"]), 2);
    }
}
