//! Sessions of the older protocol: bounded in number, ended when idle, and each of one key only.
//!
//! rmcp's own idle timer cuts calls that are silent for long, its sessions have no maximum, and they belong to
//! whoever knows their id: hence this wrapper.

mod session;
mod streaming;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::Stream;
use prometheus::IntGauge;
use rmcp::model::{ClientJsonRpcMessage, GetExtensions, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{
    RestoreOutcome, ServerSseMessage, SessionId, SessionManager,
};

pub(super) use session::Held;
pub(super) use streaming::Turn;

use super::call::Caller;
use session::{Owner, Session};
use streaming::Streaming;

/// An idle session costs some 10 KiB: this many cost 10 MiB.
const MAX: usize = 1024;

/// So many may be one key's, so that a client that leaks them keeps no other key out.
const OF_A_KEY_MAX: usize = MAX / 4;

/// After this long without a stream or a call a session is ended; clients then open another one.
pub(super) const IDLE: Duration = Duration::from_secs(30 * 60);

/// The sessions that there are.
pub(super) struct Sessions {
    inner: LocalSessionManager,
    open: Mutex<HashMap<SessionId, Arc<Session>>>,
    count: IntGauge,
}

/// Why a session could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// There are too many.
    #[error("there are {MAX} sessions already")]
    Full,
    /// rmcp's own reason.
    #[error("the session failed")]
    Inner(#[source] LocalSessionManagerError),
}

impl Sessions {
    /// No session yet; their number shows in `count`.
    pub(super) fn new(count: IntGauge) -> Self {
        let mut inner = LocalSessionManager::default();
        inner.session_config.keep_alive = None;
        Self { inner, open: Mutex::default(), count }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether another one is too many.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= MAX
    }

    /// Makes the session one of this key, unless the key has as many as it may. The id has not been told to anybody
    /// yet.
    pub(super) fn bind(&self, id: &str, owner: &Caller) -> bool {
        let open = self.lock();
        let Some(session) = open.get(id).filter(|session| matches!(*session.owner(), Owner::Unborn)) else {
            return true;
        };
        let may = open.values().filter(|session| session.is_of(owner)).count() < OF_A_KEY_MAX;
        if may {
            *session.owner() = Owner::Of(owner.without_key());
        }
        may
    }

    /// Ends it.
    pub(super) async fn end(&self, id: &str) {
        // That it is gone already is no error.
        let _ = self.close_session(&id.into()).await;
    }

    /// Whether the session is one of this key, which may have been shown in a newer form since.
    pub(super) fn belongs(&self, id: &str, owner: &Caller) -> bool {
        let open = self.lock();
        let Some(session) = open.get(id).filter(|session| session.is_of(owner)) else {
            return false;
        };
        *session.owner() = Owner::Of(owner.without_key());
        true
    }

    /// Takes their owner from the sessions of such callers, so that nobody can use them any more, and names them.
    pub(super) fn disown(&self, lapsed: impl Fn(&Caller) -> bool) -> Vec<SessionId> {
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

    /// Keeps the session from being ended as idle.
    pub(super) fn hold(&self, id: &str) -> Option<Held> {
        self.lock().get(id).map(Held::new)
    }

    /// Ends what nobody has used for `idle`.
    pub(super) async fn reap(&self, idle: Duration) {
        let dead: Vec<SessionId> = {
            let open = self.lock();
            open.iter().filter(|(_, session)| session.is_idle(idle)).map(|(id, _)| Arc::clone(id)).collect()
        };
        for id in dead {
            self.end(&id).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held<S>(&self, id: &SessionId, stream: S, turn: Turn) -> Streaming<S> {
        Streaming::new(stream, turn, self.hold(id))
    }
}

impl SessionManager for Sessions {
    type Error = Error;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Error> {
        if self.is_full() {
            return Err(Error::Full);
        }
        let (id, transport) = self.inner.create_session().await.map_err(Error::Inner)?;
        self.lock().insert(Arc::clone(&id), Arc::new(Session::new()));
        self.count.inc();
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Error> {
        self.inner.initialize_session(id, message).await.map_err(Error::Inner)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Error> {
        self.inner.has_session(id).await.map_err(Error::Inner)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Error> {
        if self.lock().remove(id).is_some() {
            self.count.dec();
        }
        self.inner.close_session(id).await.map_err(Error::Inner)
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        let turn = Turn::default();
        if let ClientJsonRpcMessage::Request(request) = &mut message {
            request.request.extensions_mut().insert(turn.clone());
        }
        let stream = self.inner.create_stream(id, message).await.map_err(Error::Inner)?;
        Ok(self.held(id, stream, turn))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Error> {
        let _held = self.hold(id);
        self.inner.accept_message(id, message).await.map_err(Error::Inner)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        let stream = self.inner.create_standalone_stream(id).await.map_err(Error::Inner)?;
        Ok(self.held(id, stream, Turn::default()))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        let stream = self.inner.resume(id, last_event_id).await.map_err(Error::Inner)?;
        Ok(self.held(id, stream, Turn::default()))
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Self::Transport>, Error> {
        self.inner.restore_session(id).await.map_err(Error::Inner)
    }
}

#[cfg(test)]
impl Sessions {
    /// A session that nobody asked for.
    pub(super) async fn open(&self) -> SessionId {
        self.create_session().await.unwrap().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing;

    fn owner(key: &str) -> Caller {
        testing::caller(&testing::policy(&testing::alice()), key)
    }

    async fn opened() -> (Sessions, SessionId) {
        let sessions = Sessions::new(IntGauge::new("sessions", "Sessions.").unwrap());
        let id = sessions.open().await;
        (sessions, id)
    }

    #[tokio::test]
    async fn a_session_belongs_to_the_key_that_opened_it_and_to_no_other() {
        let (sessions, id) = opened().await;
        let (alice, bob) = (owner("alice's key"), owner("bob's key"));
        assert!(!sessions.belongs(&id, &alice), "nobody's yet");
        sessions.bind(&id, &alice);
        sessions.bind(&id, &bob);
        assert!(sessions.belongs(&id, &alice) && !sessions.belongs(&id, &bob));
        assert!(!sessions.belongs("another", &alice));
        assert!(sessions.belongs_to_another(&id, &bob) && !sessions.belongs_to_another(&id, &alice));
        assert!(!sessions.belongs_to_another("another", &bob));
    }

    #[tokio::test]
    async fn a_session_that_was_taken_from_its_owner_is_nobodys_for_ever() {
        let (sessions, id) = opened().await;
        let (alice, bob) = (owner("alice's key"), owner("bob's key"));
        sessions.bind(&id, &alice);
        assert_eq!(sessions.disown(|caller| caller.principal.name() == "bob"), []);
        assert_eq!(sessions.disown(|caller| caller.principal.name() == "alice"), [Arc::clone(&id)]);
        sessions.bind(&id, &alice);
        sessions.bind(&id, &bob);
        assert!(!sessions.belongs(&id, &alice) && !sessions.belongs(&id, &bob));
    }

    #[tokio::test]
    async fn a_key_has_only_its_share_of_the_sessions() {
        let (sessions, last) = opened().await;
        let (alice, bob) = (owner("alice's key"), owner("bob's key"));
        for _ in 0..OF_A_KEY_MAX {
            assert!(sessions.bind(&sessions.open().await, &alice));
        }
        assert!(!sessions.bind(&last, &alice), "one too many");
        assert!(sessions.bind(&last, &bob), "another key has a share of its own");
    }

    #[tokio::test]
    async fn an_idle_session_is_ended_but_never_one_that_is_in_use() {
        let (sessions, id) = opened().await;
        let held = sessions.hold(&id).unwrap();
        sessions.reap(Duration::ZERO).await;
        assert_eq!(sessions.count.get(), 1);
        drop(held);
        sessions.reap(Duration::from_secs(60)).await;
        assert_eq!(sessions.count.get(), 1);
        sessions.reap(Duration::ZERO).await;
        assert_eq!((sessions.count.get(), sessions.has_session(&id).await.unwrap()), (0, false));
    }
}
