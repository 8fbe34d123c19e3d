//! What kernos knows of a session: whose it is, whether anybody uses it, and what it takes to wake it.

use std::collections::HashSet;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::http::call::Caller;

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    owner: Mutex<Owner>,
    /// Requests, streams and calls that hold it.
    held: AtomicUsize,
    used: Mutex<Instant>,
    /// To be changed by whoever has `life` only.
    is_awake: AtomicBool,
    /// Held while it is woken, put to sleep or ended.
    pub(super) life: tokio::sync::Mutex<Life>,
    /// Ends with the session.
    there: CancellationToken,
    /// Ends its stream that stands open.
    standing: Mutex<CancellationToken>,
    /// That stream, and those of before until they have ended.
    stands: AtomicUsize,
    /// How often it was woken.
    wakings: AtomicU64,
    /// The ids of requests under way.
    ids: Mutex<HashSet<Arc<str>>>,
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

/// How a session came to be, and what of it is about to go.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// What its client said of itself, as JSON; none before that is known.
    pub(super) opened_with: Option<Box<[u8]>>,
    /// Tasks of rmcp that were told to leave it and have not said yet that they do.
    pub(super) leaving: usize,
}

impl Session {
    /// One that is awake, and nobody's yet.
    pub(super) fn new() -> Self {
        Self {
            owner: Mutex::default(),
            held: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
            is_awake: AtomicBool::new(true),
            life: tokio::sync::Mutex::default(),
            there: CancellationToken::new(),
            standing: Mutex::default(),
            stands: AtomicUsize::new(0),
            wakings: AtomicU64::new(0),
            ids: Mutex::default(),
        }
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

    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire) > 0
    }

    /// Whether it may sleep.
    pub(super) fn is_drowsy(&self, idle: Duration) -> bool {
        !self.is_held() && self.used().elapsed() >= idle
    }

    /// Whether it may end: a stream that stands open keeps it.
    pub(super) fn is_idle(&self, idle: Duration) -> bool {
        self.is_drowsy(idle) && self.stands.load(Ordering::Acquire) == 0
    }

    pub(super) fn is_awake(&self) -> bool {
        self.is_awake.load(Ordering::Acquire)
    }

    pub(super) fn wake(&self, _: &mut Life) {
        self.wakings.fetch_add(1, Ordering::AcqRel);
        self.is_awake.store(true, Ordering::Release);
    }

    pub(super) fn sleep(&self, _: &mut Life) {
        self.is_awake.store(false, Ordering::Release);
    }

    pub(super) fn wakings(&self) -> u64 {
        self.wakings.load(Ordering::Acquire)
    }

    /// Takes an id, as JSON writes it, for a request, unless another that is under way has it.
    pub(super) fn number(self: &Arc<Self>, id: &str) -> Option<Arc<Numbered>> {
        let id: Arc<str> = id.into();
        let is_new = self.ids().insert(Arc::clone(&id));
        is_new.then(|| Arc::new(Numbered { session: Arc::clone(self), id }))
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it was used last.
    pub(super) fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what stands open of it.
    pub(super) fn end(&self) {
        self.there.cancel();
    }

    /// Is used now.
    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A request's own id, until dropped.
///
/// Of two requests with one id rmcp would answer one on the stream of the other, and keep the other for ever.
#[derive(Debug)]
pub(super) struct Numbered {
    session: Arc<Session>,
    id: Arc<str>,
}

impl Drop for Numbered {
    fn drop(&mut self) {
        self.session.ids().remove(&self.id);
    }
}

/// A session that is in use.
pub(in crate::http) struct Held(Arc<Session>);

impl Held {
    pub(super) fn new(session: &Arc<Session>) -> Self {
        session.held.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(session))
    }

    /// The session's stream that stands open without a request. There is one: that of before ends.
    pub(in crate::http) fn stand(&self) -> Standing {
        let session = Arc::clone(&self.0);
        let until = session.there.child_token();
        let mut standing = session.standing.lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut *standing, until.clone()).cancel();
        drop(standing);
        session.stands.fetch_add(1, Ordering::AcqRel);
        Standing { session, until }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.touch();
        self.0.held.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream that keeps its session from being ended as idle, though not from sleeping.
pub(in crate::http) struct Standing {
    session: Arc<Session>,
    until: CancellationToken,
}

impl Standing {
    /// Resolves when the session has ended or has another such stream.
    pub(in crate::http) async fn ended(self) {
        self.until.cancelled().await;
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.session.touch();
        self.session.stands.fetch_sub(1, Ordering::AcqRel);
    }
}
