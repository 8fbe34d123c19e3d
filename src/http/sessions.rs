//! Sessions of the older protocol: bounded in number, ended when idle, and each of one key only.
//!
//! rmcp's own idle timer cuts calls that are silent for long, its sessions have no maximum, and they belong to
//! whoever knows their id: hence this wrapper.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;
use prometheus::IntGauge;
use rmcp::model::{ClientJsonRpcMessage, GetExtensions, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{
    RestoreOutcome, ServerSseMessage, SessionId, SessionManager,
};

use super::call::Caller;

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

/// What kernos knows of a session.
#[derive(Debug)]
struct Session {
    owner: Mutex<Owner>,
    /// Streams and calls that hold it.
    held: AtomicUsize,
    used: Mutex<Instant>,
}

/// Whose a session is.
#[derive(Debug, Default)]
enum Owner {
    /// Nobody's yet: its id has not been told.
    #[default]
    Unborn,
    /// This caller's, as its key was shown last.
    Of(Caller),
    /// Nobody's any more.
    Disowned,
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

    fn held<S>(&self, id: &SessionId, stream: S) -> Streaming<S> {
        Streaming { stream: Box::pin(stream), room: Room::default(), _held: self.hold(id) }
    }
}

impl Session {
    fn owner(&self) -> MutexGuard<'_, Owner> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_owned(&self) -> bool {
        matches!(*self.owner(), Owner::Of(_))
    }

    fn is_of(&self, owner: &Caller) -> bool {
        matches!(&*self.owner(), Owner::Of(one) if one.principal.name() == owner.principal.name())
    }

    fn is_idle(&self, idle: Duration) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.held.load(Ordering::Acquire) == 0 && used.elapsed() >= idle
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A session that is in use.
pub(super) struct Held(Arc<Session>);

impl Held {
    fn new(session: &Arc<Session>) -> Self {
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

/// Room on a request's stream for one message besides the answer.
///
/// A stream of rmcp's takes 16 messages that its client does not read. The next one stops the whole session, other
/// streams and all, until the client reads: so none is sent before one has been taken.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<AtomicBool>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(true.into()))
    }
}

impl Room {
    /// Takes the room, if it is free.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    fn give_back(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A stream that holds its session, and has room again when its client's connection takes a message.
struct Streaming<S> {
    stream: Pin<Box<S>>,
    room: Room,
    _held: Option<Held>,
}

impl<S: Stream> Stream for Streaming<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let next = self.stream.as_mut().poll_next(context);
        if let Poll::Ready(Some(_)) = next {
            self.room.give_back();
        }
        next
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
        let session =
            Session { owner: Mutex::default(), held: AtomicUsize::new(0), used: Mutex::new(Instant::now()) };
        self.lock().insert(Arc::clone(&id), Arc::new(session));
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
        let room = Room::default();
        if let ClientJsonRpcMessage::Request(request) = &mut message {
            request.request.extensions_mut().insert(room.clone());
        }
        let stream = self.inner.create_stream(id, message).await.map_err(Error::Inner)?;
        Ok(Streaming { room, ..self.held(id, stream) })
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
        Ok(self.held(id, stream))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        let stream = self.inner.resume(id, last_event_id).await.map_err(Error::Inner)?;
        Ok(self.held(id, stream))
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
