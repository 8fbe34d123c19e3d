//! The calls of this moment: whose they are, and a way to end each of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::call::Caller;
use crate::exec::Stop;

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
    why: OnceLock<Stop>,
    ended: CancellationToken,
}

/// A call that is listed until this is dropped.
pub(super) struct Listed<'r> {
    running: &'r Running,
    call: Arc<Call>,
}

impl Running {
    /// Lists a call.
    pub(super) fn list(&self, caller: &Caller) -> Listed<'_> {
        let mut calls = self.lock();
        calls.last += 1;
        let call = Arc::new(Call {
            id: calls.last,
            caller: caller.clone(),
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

    /// Whether this one is still among them.
    pub(super) fn lists(&self, id: u64) -> bool {
        self.lock().by_id.contains_key(&id)
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// Ends it. The first reason counts.
    pub(super) fn end(&self, why: Stop) {
        let _ = self.why.set(why);
        self.ended.cancel();
    }

    /// Returns when somebody has ended it, with the reason.
    pub(super) async fn ended(self: Arc<Self>) -> Stop {
        self.ended.cancelled().await;
        self.why.get().copied().unwrap_or(Stop::Cancelled)
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
