//! What rmcp asks of whoever keeps its sessions, and how one that sleeps is woken.
//!
//! rmcp takes a session that is not awake for one of another instance, whose state is in a store: it asks the store,
//! has the session made anew under its id, and says again what its client said first.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use rmcp::model::{
    ClientCapabilities, ClientJsonRpcMessage, ClientRequest, Extensions, GetExtensions, Implementation,
    InitializeRequestParams, JsonRpcRequest, ProtocolVersion, RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{
    RestoreOutcome, ServerSseMessage, SessionId, SessionManager, SessionState, SessionStore,
    SessionStoreError,
};

use super::session::{Numbered, Session};
use super::streaming::{Streaming, Turn};
use super::{AWAKE_MAX, Sessions, TooMany};
use crate::http::body::{Fault, Flaw};

/// rmcp's sessions: those that are awake.
pub(super) struct Awake(LocalSessionManager);

/// Why a session could not be had.
#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum Error {
    /// There are too many.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The stream is of a time before the session slept, or of no request.
    #[error("there is no such stream")]
    NoStream,
    /// Another request has the id.
    #[error("the id is that of another request under way")]
    Duplicate,
    /// rmcp's own reason.
    #[error("the session failed")]
    Inner(#[source] LocalSessionManagerError),
}

impl Awake {
    pub(super) fn none() -> Self {
        let mut inner = LocalSessionManager::default();
        inner.session_config.keep_alive = None;
        Self(inner)
    }

    /// Ends one, if it is there.
    pub(super) async fn end(&self, id: &SessionId) {
        // That it is gone already is no error.
        let _ = self.0.close_session(id).await;
    }
}

impl Sessions {
    /// Puts a session to sleep unless it is in use, or nothing would wake it.
    pub(super) async fn put_to_sleep(&self, id: &SessionId, session: &Session) {
        let mut life = session.life.lock().await;
        if session.is_awake() && !session.is_held() && life.opened_with.is_some() {
            session.sleep(&mut life);
            life.leaving += 1;
            self.awake.end(id).await;
        }
    }

    /// The stream of a request. rmcp numbers those anew whenever a session wakes, so that ids tell which waking it was.
    fn held(
        &self,
        id: &SessionId,
        stream: impl Stream<Item = ServerSseMessage> + Send + Sync + 'static,
        turn: Turn,
    ) -> impl Stream<Item = ServerSseMessage> + Send + Sync + 'static {
        let waking = self.waking(id);
        let told = stream.map(move |mut message| {
            message.event_id = message.event_id.map(|id| format!("{waking}.{id}"));
            message
        });
        Streaming::new(told, turn, self.hold(id))
    }

    /// Takes a request's id, which no other under way in the session may have.
    fn number(
        &self,
        session: &SessionId,
        id: &RequestId,
        extensions: &Extensions,
    ) -> Result<Option<Arc<Numbered>>, Error> {
        let Some(session) = self.get(session) else { return Ok(None) };
        let written = serde_json::to_string(id).expect("a number or a text always serialises");
        let numbered = session.number(&written).ok_or_else(|| {
            if let Some(fault) = of_request::<Fault>(extensions) {
                fault.find(Flaw::Duplicate);
            }
            Error::Duplicate
        })?;
        Ok(Some(numbered))
    }

    fn waking(&self, id: &str) -> u64 {
        self.get(id).map_or(0, |session| session.wakings())
    }
}

/// What was put into a request before rmcp had it.
pub(in crate::http) fn of_request<T: Send + Sync + 'static>(extensions: &Extensions) -> Option<&T> {
    extensions.get::<http::request::Parts>()?.extensions.get()
}

/// What is kept of what a client says when it opens a session, which may be anything: the revision is all that is asked
/// for later.
fn essential(params: &InitializeRequestParams) -> InitializeRequestParams {
    let mut kept = InitializeRequestParams::new(ClientCapabilities::default(), Implementation::new("", ""));
    let revision = &params.protocol_version;
    // Each is a date. What is none gets the answer that an unknown date gets.
    let is_date = revision.as_str().len() == "YYYY-MM-DD".len();
    kept.protocol_version = if is_date { revision.clone() } else { ProtocolVersion::LATEST };
    kept
}

impl SessionManager for Sessions {
    type Error = Error;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Error> {
        if self.is_full() {
            return Err(TooMany::InAll.into());
        }
        let (id, transport) = self.awake.0.create_session().await.map_err(Error::Inner)?;
        if let Err(too_many) = self.insert(&id) {
            self.awake.end(&id).await;
            return Err(too_many.into());
        }
        self.rest(AWAKE_MAX, Duration::ZERO).await;
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Error> {
        if let ClientJsonRpcMessage::Request(request) = &mut message
            && let ClientRequest::InitializeRequest(initialize) = &mut request.request
        {
            initialize.params = essential(&initialize.params);
        }
        self.awake.0.initialize_session(id, message).await.map_err(Error::Inner)
    }

    /// Whether it is awake. Whoever asks holds it, so that it stays so.
    async fn has_session(&self, id: &SessionId) -> Result<bool, Error> {
        let Some(session) = self.get(id) else { return Ok(false) };
        let _life = session.life.lock().await;
        Ok(session.is_awake())
    }

    /// rmcp says so when a task of its own has left a session, for whatever reason.
    async fn close_session(&self, id: &SessionId) -> Result<(), Error> {
        if let Some(session) = self.get(id) {
            let mut life = session.life.lock().await;
            if life.leaving > 0 {
                life.leaving -= 1;
                return Ok(());
            }
        }
        self.end(id).await;
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        let turn = Turn::default();
        if let ClientJsonRpcMessage::Request(JsonRpcRequest { id: number, request, .. }) = &mut message {
            let numbered = self.number(id, number, request.extensions())?;
            // It is there until the answer is, whether or not a client waits for that.
            request.extensions_mut().insert(numbered);
            request.extensions_mut().insert(turn.clone());
        }
        let stream = self.awake.0.create_stream(id, message).await.map_err(Error::Inner)?;
        Ok(self.held(id, stream, turn))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Error> {
        let _held = self.hold(id);
        self.awake.0.accept_message(id, message).await.map_err(Error::Inner)
    }

    /// Not asked for: `endpoint` answers whoever wants a stream without a request.
    async fn create_standalone_stream(
        &self,
        _: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        Err::<stream::Empty<ServerSseMessage>, _>(Error::NoStream)
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        let (waking, event) = last_event_id.split_once('.').unwrap_or_default();
        if waking != self.waking(id).to_string() {
            return Err(Error::NoStream);
        }
        let stream = self.awake.0.resume(id, event.to_owned()).await.map_err(Error::Inner)?;
        Ok(self.held(id, stream, Turn::default()))
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Self::Transport>, Error> {
        let Some(session) = self.get(&id) else { return Ok(RestoreOutcome::NotSupported) };
        let mut life = session.life.lock().await;
        // It may have been ended since.
        if self.get(&id).is_none() {
            return Ok(RestoreOutcome::NotSupported);
        }
        let outcome = self.awake.0.restore_session(id).await.map_err(Error::Inner)?;
        session.wake(&mut life);
        drop(life);
        self.rest(AWAKE_MAX, Duration::ZERO).await;
        Ok(outcome)
    }
}

#[async_trait::async_trait]
impl SessionStore for Sessions {
    async fn load(&self, id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        let Some(session) = self.get(id) else { return Ok(None) };
        let life = session.life.lock().await;
        Ok(life.opened_with.as_deref().map(serde_json::from_slice).transpose()?)
    }

    async fn store(&self, id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        if let Some(session) = self.get(id) {
            let state = SessionState::new(essential(&state.initialize_params));
            session.life.lock().await.opened_with = Some(serde_json::to_vec(&state)?.into());
        }
        Ok(())
    }

    /// Its client ends it.
    async fn delete(&self, id: &str) -> Result<(), SessionStoreError> {
        self.end(id).await;
        Ok(())
    }
}

#[cfg(test)]
impl Sessions {
    /// A session that nobody asked for.
    pub(in crate::http) async fn open(&self) -> SessionId {
        self.create_session().await.unwrap().0
    }
}
