//! The streams of requests in a session, and how much is put into them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::Stream;

use super::session::Held;

/// Room on a request's stream for one message besides the answer.
///
/// A stream of rmcp's takes 16 messages that its client does not read. The next one stops the whole session, other
/// streams and all, until the client reads: so none is sent before one has been taken.
#[derive(Clone, Debug)]
pub(in crate::http) struct Turn(Arc<AtomicBool>);

impl Default for Turn {
    fn default() -> Self {
        Self(Arc::new(true.into()))
    }
}

impl Turn {
    /// Takes the room, if it is free.
    pub(in crate::http) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    fn give_back(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A stream that holds its session, and has room again when its client's connection takes a message.
pub(super) struct Streaming<S> {
    stream: Pin<Box<S>>,
    turn: Turn,
    _held: Option<Held>,
}

impl<S> Streaming<S> {
    pub(super) fn new(stream: S, turn: Turn, held: Option<Held>) -> Self {
        Self { stream: Box::pin(stream), turn, _held: held }
    }
}

impl<S: Stream> Stream for Streaming<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let next = self.stream.as_mut().poll_next(context);
        if let Poll::Ready(Some(_)) = next {
            self.turn.give_back();
        }
        next
    }
}
