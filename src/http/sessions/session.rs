//! What kernos knows of a session: whose it is, and whether anybody uses it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::http::call::Caller;

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    owner: Mutex<Owner>,
    /// Streams and calls that hold it.
    held: AtomicUsize,
    used: Mutex<Instant>,
}

/// Whose a session is.
#[derive(Debug, Default)]
pub(super) enum Owner {
    /// Nobody's yet: its id has not been told.
    #[default]
    Unborn,
    /// This caller's, as its key was shown last.
    Of(Caller),
    /// Nobody's any more.
    Disowned,
}

impl Session {
    /// One that is nobody's yet.
    pub(super) fn new() -> Self {
        Self { owner: Mutex::default(), held: AtomicUsize::new(0), used: Mutex::new(Instant::now()) }
    }

    pub(super) fn owner(&self) -> MutexGuard<'_, Owner> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_owned(&self) -> bool {
        matches!(*self.owner(), Owner::Of(_))
    }

    pub(super) fn is_of(&self, owner: &Caller) -> bool {
        matches!(&*self.owner(), Owner::Of(one) if one.principal.name() == owner.principal.name())
    }

    pub(super) fn is_idle(&self, idle: Duration) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.held.load(Ordering::Acquire) == 0 && used.elapsed() >= idle
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A session that is in use.
pub(in crate::http) struct Held(Arc<Session>);

impl Held {
    pub(super) fn new(session: &Arc<Session>) -> Self {
        session.held.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(session))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.touch();
        self.0.held.fetch_sub(1, Ordering::AcqRel);
    }
}
