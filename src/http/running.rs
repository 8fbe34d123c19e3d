//! The calls of this moment: whose they are, and a way to end each of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::call::Caller;
use crate::exec::{Stop, Watch};

/// The record's word for the end of a call by `kernos stop`.
pub(super) const OPERATOR: &str = "operator";

/// Every call from its admission to its answer.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    last: u64,
    by_id: BTreeMap<u64, Arc<Call>>,
}

/// A call that runs, or waits for its turn.
#[derive(Debug)]
pub(super) struct Call {
    /// Its number, from 1: what an operator types.
    pub id: u64,
    /// Whose it is.
    pub caller: Caller,
    /// The tool that was called.
    pub tool: &'static str,
    /// When it came.
    pub begun: Instant,
    /// Sees it while it runs.
    pub watch: Watch,
    runs: AtomicBool,
    why: OnceLock<(Stop, &'static str)>,
    ended: CancellationToken,
}

/// A call that is listed until this is dropped.
pub(super) struct Listed<'r> {
    running: &'r Running,
    call: Arc<Call>,
}

impl Running {
    /// Lists a call.
    pub(super) fn list(&self, caller: &Caller, tool: &'static str, watch: Watch) -> Listed<'_> {
        let mut calls = self.lock();
        calls.last += 1;
        let call = Arc::new(Call {
            id: calls.last,
            caller: caller.clone(),
            tool,
            begun: Instant::now(),
            watch,
            runs: AtomicBool::new(false),
            why: OnceLock::new(),
            ended: CancellationToken::new(),
        });
        calls.by_id.insert(call.id, Arc::clone(&call));
        Listed { running: self, call }
    }

    /// All of them, the oldest first.
    pub(super) fn calls(&self) -> Vec<Arc<Call>> {
        self.lock().by_id.values().map(Arc::clone).collect()
    }

    /// The one of this number, if it is still there.
    pub(super) fn call(&self, id: u64) -> Option<Arc<Call>> {
        self.lock().by_id.get(&id).map(Arc::clone)
    }

    /// Whether this one is still among them.
    pub(super) fn lists(&self, id: u64) -> bool {
        self.lock().by_id.contains_key(&id)
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// Its turn has come.
    pub(super) fn begin(&self) {
        self.runs.store(true, Ordering::Relaxed);
    }

    /// Whether its turn has come.
    pub(super) fn runs(&self) -> bool {
        self.runs.load(Ordering::Relaxed)
    }

    /// Ends it, and tells whether nobody had before; `reason` is a word for the record. The first one counts.
    pub(super) fn end(&self, why: Stop, reason: &'static str) -> bool {
        let is_first = self.why.set((why, reason)).is_ok();
        self.ended.cancel();
        is_first
    }

    /// Why somebody has ended it, if so.
    pub(super) fn reason(&self) -> Option<&'static str> {
        self.why.get().map(|(_, reason)| *reason)
    }

    /// Returns when somebody has ended it.
    pub(super) async fn ended(self: Arc<Self>) -> Stop {
        self.ended.cancelled().await;
        self.why.get().map_or(Stop::Cancelled, |(why, _)| *why)
    }
}

impl Listed<'_> {
    /// The call itself.
    pub(super) fn call(&self) -> &Arc<Call> {
        &self.call
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.running.lock().by_id.remove(&self.call.id);
    }
}
