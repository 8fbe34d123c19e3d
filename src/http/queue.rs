//! Events in the order of their numbers, on their way to a sink that may be slow, away or full.
//!
//! A number is drawn and an event takes its place in one step, so that what is written is in order. An event is
//! then written, or waits, or is lost and counted: `drawn = written + waiting + lost`, at every moment, and the
//! numbers that are missing in the end are as many as were lost. What was lost is told in the record itself, as
//! soon as there is room again.
//!
//! Not a buffer for speed: whoever adds an event waits until it is written, if that is a matter of moments.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntGauge};
use rustix::io::Errno;
use serde_json::{Map, Value};

use super::sink::Sink;

/// Bytes that may wait: ten thousand events of the usual length, which is what a pause of journald (it rotates
/// its files, or is started anew) costs at the most.
const BYTES_MAX: usize = 4 << 20;

/// How long whoever adds an event waits for it to be written.
const PATIENCE: Duration = Duration::from_millis(20);

/// A write that takes longer than this is not slow but stuck.
const STUCK: Duration = Duration::from_secs(1);

/// After a failed write this passes before the next.
const AGAIN: Duration = Duration::from_millis(50);

/// What waits when kernos ends has so long to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// syslog(3)'s `LOG_WARNING`.
const WARNING: u8 = 4;

/// An event that has no number yet.
#[derive(Debug)]
pub(super) struct Entry {
    pub text: String,
    pub priority: u8,
    pub fields: Map<String, Value>,
}

/// The way to a sink.
#[derive(Debug)]
pub(super) struct Queue {
    sink: Sink,
    /// Fields that every event bears.
    common: Map<String, Value>,
    state: Mutex<State>,
    /// Something waits, or nothing will any more.
    came: Condvar,
    /// Something waits no more.
    went: Condvar,
    pub(super) written: IntCounter,
    pub(super) lost: IntCounter,
    pub(super) waiting: IntGauge,
}

#[derive(Debug, Default)]
struct State {
    /// The next number.
    next: u64,
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    /// Lost since the record last told so.
    untold: u64,
    /// The last write failed.
    failed: bool,
    /// Somebody waited in vain since the last write that worked.
    slow: bool,
    /// Since when the first message has been the first.
    first_since: Option<Instant>,
    closed: bool,
}

#[derive(Debug)]
struct Message {
    number: u64,
    bytes: Vec<u8>,
    /// So many losses this one tells of.
    tells: u64,
}

impl Queue {
    pub(super) fn new(sink: Sink, common: Map<String, Value>) -> Self {
        let counter = |name, help| IntCounter::new(name, help).expect("the names are valid");
        Self {
            sink,
            common,
            state: Mutex::default(),
            came: Condvar::new(),
            went: Condvar::new(),
            written: counter("kernos_record_events_total", "Audit events written."),
            lost: counter("kernos_record_events_lost_total", "Audit events that could not be written."),
            waiting: IntGauge::new(
                "kernos_record_events_waiting",
                "Audit events that are yet to be written.",
            )
            .expect("the name is valid"),
        }
    }

    /// Adds an event, and waits a moment for it to be written.
    pub(super) fn add(&self, entry: Entry) {
        let mut state = self.lock();
        let message = self.numbered(&mut state, entry, 0);
        let number = message.number;
        let is_first = state.messages.is_empty();
        if is_first && state.untold == 0 && self.sink.write_at_once(&message.bytes).is_ok() {
            state.failed = false;
            self.written.inc();
            return;
        }
        if state.untold > 0 || !(is_first || state.bytes + message.bytes.len() <= BYTES_MAX) {
            state.untold += 1;
            self.lost.inc();
            return;
        }
        self.push(&mut state, message);
        let waits = |state: &mut State| state.is_waited_for() && state.holds(number);
        let waited = self.went.wait_timeout_while(state, PATIENCE, waits);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        state.slow |= waited.timed_out();
    }

    /// Whether events are written: the last one was, and none was lost that the record does not tell of.
    pub(super) fn works(&self) -> bool {
        let state = self.lock();
        !state.failed && state.untold == 0 && !state.is_stuck()
    }

    /// Waits until nothing waits any more, but not for ever.
    pub(super) fn flush(&self) {
        let flushed = self.went.wait_timeout_while(self.lock(), FLUSH, |state| !state.messages.is_empty());
        drop(flushed);
    }

    /// Lets the writer end.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.came.notify_all();
    }

    /// Writes what waits until the queue is closed: a thread's whole work.
    pub(super) fn run(&self) {
        while let Some(message) = self.first() {
            if !self.write(&message) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn first(&self) -> Option<Arc<Message>> {
        let waited = self.came.wait_while(self.lock(), |state| state.messages.is_empty() && !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).messages.front().map(Arc::clone)
    }

    /// Writes the first message, however often that has to be tried. Whether the queue is still open.
    fn write(&self, message: &Message) -> bool {
        loop {
            match self.sink.write(&message.bytes) {
                Ok(()) => {
                    self.settle(message, true);
                    return true;
                }
                // It will not become smaller. Nothing else waits for it, but the next is not tried in a hurry.
                Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                    self.settle(message, false);
                    return self.pause();
                }
                Err(_) => {
                    self.lock().failed = true;
                    self.went.notify_all();
                    if !self.pause() {
                        return false;
                    }
                }
            }
        }
    }

    /// The first message waits no more.
    fn settle(&self, message: &Message, written: bool) {
        let mut state = self.lock();
        state.messages.pop_front();
        state.bytes -= message.bytes.len();
        state.first_since = (!state.messages.is_empty()).then(Instant::now);
        state.slow = false;
        if written {
            state.failed = false;
            self.written.inc();
        } else {
            state.untold += 1 + message.tells;
            self.lost.inc();
        }
        self.waiting.dec();
        // Half is room for what comes next. Told at the first gap, a full queue would fill with nothing else.
        if state.untold > 0 && state.bytes <= BYTES_MAX / 2 {
            let losses = std::mem::take(&mut state.untold);
            let message = self.numbered(&mut state, told(losses), losses);
            self.push(&mut state, message);
        }
        drop(state);
        self.went.notify_all();
    }

    /// Lets some time pass. Whether the queue is still open.
    fn pause(&self) -> bool {
        let waited = self.came.wait_timeout_while(self.lock(), AGAIN, |state| !state.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    fn numbered(&self, state: &mut State, entry: Entry, tells: u64) -> Message {
        let Entry { text, priority, mut fields } = entry;
        let number = state.next;
        state.next += 1;
        fields.extend(self.common.clone());
        fields.insert("seq".to_owned(), number.into());
        Message { number, bytes: self.sink.message(&text, priority, fields), tells }
    }

    fn push(&self, state: &mut State, message: Message) {
        state.first_since.get_or_insert_with(Instant::now);
        state.bytes += message.bytes.len();
        state.messages.push_back(Arc::new(message));
        self.waiting.inc();
        self.came.notify_all();
    }
}

impl State {
    fn is_stuck(&self) -> bool {
        self.first_since.is_some_and(|since| since.elapsed() >= STUCK)
    }

    /// Whether it is worth waiting for a write. Beside a pause everybody passes, but not until the queue is full.
    fn is_waited_for(&self) -> bool {
        !self.failed && !self.is_stuck() && (!self.slow || self.bytes > BYTES_MAX / 2)
    }

    fn holds(&self, number: u64) -> bool {
        self.messages.front().is_some_and(|first| first.number <= number)
    }
}

/// What the record says of a gap in itself.
fn told(losses: u64) -> Entry {
    Entry {
        text: format!("the record is written again; {losses} events were lost"),
        priority: WARNING,
        fields: Map::from_iter([("lost".to_owned(), losses.into())]),
    }
}
