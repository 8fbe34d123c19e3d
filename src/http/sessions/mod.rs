//! Sessions of the older protocol: bounded in number, asleep while nobody uses them, ended when idle, and each of one
//! key only.
//!
//! rmcp's own idle timer cuts calls that are silent for long, its sessions have no maximum, they belong to whoever
//! knows their id, and the queues of each take some 50 KiB as long as it is there: hence this wrapper.

mod manager;
mod session;
mod streaming;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;

pub(super) use manager::of_request;
pub(super) use session::Held;
pub(super) use streaming::Turn;

use super::call::Caller;
use manager::Awake;
use session::{Owner, Session};

/// One that sleeps costs some 2 KiB: this many cost 2 MiB.
const MAX: usize = 1024;

/// So many may be one key's, so that a client that leaks them keeps no other key out.
const OF_A_KEY_MAX: usize = MAX / 4;

/// So many are awake besides those in use, in 3 MiB: whoever comes back to another waits for a tenth of a millisecond.
const AWAKE_MAX: usize = 64;

/// After this long without a request, a stream or a call a session sleeps in any case.
const DROWSY: Duration = Duration::from_secs(60);

/// After this long without a stream or a call a session is ended; clients then open another one.
pub(super) const IDLE: Duration = Duration::from_secs(30 * 60);

type Id = Arc<str>;

/// The sessions that there are.
pub(super) struct Sessions {
    open: Mutex<HashMap<Id, Arc<Session>>>,
    awake: Awake,
    count: IntGauge,
}

/// Why there is no session for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMany {
    /// Of all keys.
    #[error(
        "Service Unavailable: there are {MAX} sessions already, so end one, or wait until some have ended"
    )]
    InAll,
    /// Of this key.
    #[error("Service Unavailable: this key has {OF_A_KEY_MAX} sessions already, so end one")]
    OfKey,
}

impl Sessions {
    /// No session yet; their number shows in `count`.
    pub(super) fn new(count: IntGauge) -> Self {
        Self { open: Mutex::default(), awake: Awake::none(), count }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether another one is too many.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= MAX
    }

    /// Notes one that has just been made, unless it is one too many.
    fn insert(&self, id: &Id) -> Result<(), TooMany> {
        let mut open = self.lock();
        if open.len() >= MAX {
            return Err(TooMany::InAll);
        }
        open.insert(Arc::clone(id), Arc::new(Session::new()));
        self.count.inc();
        Ok(())
    }

    /// Makes the session one of this key, unless the key has as many as it may. The id has not been told to anybody
    /// yet.
    pub(super) fn bind(&self, id: &str, owner: &Caller) -> Result<(), TooMany> {
        let open = self.lock();
        let Some(session) = open.get(id).filter(|session| matches!(*session.owner(), Owner::Unborn)) else {
            return Ok(());
        };
        if open.values().filter(|session| session.is_of(owner)).count() >= OF_A_KEY_MAX {
            return Err(TooMany::OfKey);
        }
        *session.owner() = Owner::Of(owner.without_key());
        Ok(())
    }

    /// Ends it, if it is there.
    pub(super) async fn end(&self, id: &str) {
        let Some((id, session)) = self.lock().remove_entry(id) else { return };
        self.count.dec();
        session.end();
        let _life = session.life.lock().await;
        self.awake.end(&id).await;
    }

    /// Holds the session if it is one of this key, which may have been shown in a newer form since.
    pub(super) fn enter(&self, id: &str, owner: &Caller) -> Option<Held> {
        let open = self.lock();
        let session = open.get(id).filter(|session| session.is_of(owner))?;
        *session.owner() = Owner::Of(owner.without_key());
        Some(Held::new(session))
    }

    /// Takes their owner from the sessions of such callers, so that nobody can use them any more, and names them.
    pub(super) fn disown(&self, lapsed: impl Fn(&Caller) -> bool) -> Vec<Id> {
        let mut ids = Vec::new();
        for (id, session) in &*self.lock() {
            let mut owner = session.owner();
            if matches!(&*owner, Owner::Of(caller) if lapsed(caller)) {
                *owner = Owner::Disowned;
                ids.push(Arc::clone(id));
            }
        }
        ids
    }

    /// Whether the session is there, but another key's.
    pub(super) fn belongs_to_another(&self, id: &str, caller: &Caller) -> bool {
        self.lock().get(id).is_some_and(|session| session.is_owned() && !session.is_of(caller))
    }

    /// Keeps the session awake, and from being ended as idle.
    pub(super) fn hold(&self, id: &str) -> Option<Held> {
        self.get(id).as_ref().map(Held::new)
    }

    /// Ends what nobody has used for `idle`, and puts to sleep what nobody has used for a while.
    pub(super) async fn reap(&self, idle: Duration) {
        for (id, _) in self.such(|session| session.is_idle(idle)) {
            self.end(&id).await;
        }
        self.rest(0, DROWSY).await;
    }

    /// Puts to sleep what nobody has used for `idle`, but for the `most` that were used last.
    pub(super) async fn rest(&self, most: usize, idle: Duration) {
        let mut drowsy = self.such(|session| session.is_awake() && session.is_drowsy(idle));
        if drowsy.len() > most {
            drowsy.sort_by_cached_key(|(_, session)| Reverse(session.used()));
            for (id, session) in drowsy.split_off(most) {
                self.put_to_sleep(&id, &session).await;
            }
        }
    }

    fn such(&self, is_such: impl Fn(&Session) -> bool) -> Vec<(Id, Arc<Session>)> {
        let open = self.lock();
        let such = open.iter().filter(|(_, session)| is_such(session));
        such.map(|(id, session)| (Arc::clone(id), Arc::clone(session))).collect()
    }

    fn get(&self, id: &str) -> Option<Arc<Session>> {
        self.lock().get(id).map(Arc::clone)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
