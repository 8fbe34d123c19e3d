//! `/mcp`: rmcp's service, and around it what rmcp leaves to its host.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::sleep;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::audit::Event;
use super::body::{self, Bounded, Fault, Flaw};
use super::budget::REFUSED_AFTER;
use super::call::Caller;
use super::door::Door;
use super::mcp::{self, Service};
use super::pulse;
use super::reply;
use super::room::Occupant;
use super::sessions::{Held, Sessions, TooMany};
use super::under_way::{Crowded, UnderWay};

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The first revision without sessions. Revisions are dates, which compare as text.
const SESSIONLESS: &str = "2026-07-28";

/// rmcp's own 415 for a body that it cannot read begins like this.
const UNREADABLE: &[u8] = b"fail to deserialize request body ";

/// The service and its sessions.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) sessions: Arc<Sessions>,
    /// How long an answer of the newer era may take without a sign of life.
    pub(super) pulse: Duration,
    service: Service,
    door: Arc<Door>,
}

/// One request and what is held for it.
struct Exchange {
    endpoint: Endpoint,
    caller: Caller,
    is_sessionless: bool,
    session: Option<Held>,
    under_way: Arc<UnderWay>,
    /// An answer on its way, until its body is dropped: a drain waits for it.
    on_its_way: TaskTrackerToken,
}

impl Endpoint {
    pub(super) fn new(door: &Arc<Door>) -> Self {
        let sessions = Arc::clone(&door.sessions);
        let service = mcp::service(door, &sessions);
        Self { sessions, pulse: pulse::PULSE, service, door: Arc::clone(door) }
    }

    /// The same answer for a session that is not there and for another key's, which is on record.
    fn no_such_session(&self, id: &str, caller: &Caller) -> Response {
        if self.sessions.belongs_to_another(id, caller) {
            let owner = caller.principal.name().to_owned();
            let event = Event::refused("session", Some(owner), Duration::ZERO);
            self.door.turned_away(caller.address, &event.at(caller.address, &caller.request_id));
        }
        reply::text(StatusCode::NOT_FOUND, "Not Found: there is no such session")
    }

    /// Puts on record that a key has too much under way.
    fn note_crowd(&self, caller: &Caller) {
        let event = Event::refused("crowded", Some(caller.principal.name().to_owned()), Duration::ZERO);
        self.door.turned_away(caller.address, &event.at(caller.address, &caller.request_id));
    }

    /// A stream on which there will be nothing but that it is there.
    fn standing(&self, session: &Held) -> Response {
        let (ended, close) = (session.stand().ended(), self.door.close.clone());
        pulse::standing(self.pulse, async move {
            close.run_until_cancelled_owned(ended).await;
        })
    }
}

/// Answers `/mcp` for a caller that is known, whose connection is kept until the answer is sent. While a request is
/// only refused it is not kept.
pub(super) async fn answer(
    State(endpoint): State<Endpoint>,
    Extension(caller): Extension<Caller>,
    mut request: Request<Body>,
) -> Response {
    let occupant = request.extensions_mut().remove::<Arc<Occupant>>();
    let served = occupant.map(|occupant| occupant.serve(caller.principal.name())).transpose();
    let serving = match served {
        Ok(serving) => serving,
        Err(engaged) => {
            endpoint.note_crowd(&caller);
            return crowded_out(engaged).await;
        }
    };
    match serve(endpoint, caller, request).await {
        Ok(response) => reply::holding(serving, response),
        Err(crowded) => {
            drop(serving);
            crowded_out(crowded).await
        }
    }
}

async fn serve(endpoint: Endpoint, caller: Caller, mut request: Request<Body>) -> Result<Response, Crowded> {
    let is_sessionless = is_sessionless(request.headers());
    if is_sessionless {
        request.headers_mut().remove(SESSION_ID);
    }
    let id = request.headers().get(SESSION_ID).map(|id| id.to_str().unwrap_or_default());
    let session = id.and_then(|id| endpoint.sessions.enter(id, &caller));
    if let (Some(id), None) = (id, &session) {
        return Ok(endpoint.no_such_session(id, &caller));
    }
    if let Some(session) = &session
        && stands(&request)
    {
        let is_felt = pulse::is_felt(request.headers());
        return Ok(if is_felt { endpoint.standing(session) } else { unacceptable() });
    }
    let under_way = endpoint.door.budget(&caller).request().inspect_err(|_| endpoint.note_crowd(&caller))?;
    let on_its_way = endpoint.door.answers.token();
    let answer =
        Exchange { endpoint, caller, is_sessionless, session, under_way, on_its_way }.answer(request);
    if is_sessionless {
        return Ok(answer.await);
    }
    // A session that is opened or woken is not to be left half done when its client goes away.
    Ok(tokio::spawn(answer).await.unwrap_or_else(|_| {
        reply::text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error: the request broke down")
    }))
}

impl Exchange {
    async fn answer(self, request: Request<Body>) -> Response {
        let method = request.method().clone();
        let opens = !self.is_sessionless && self.session.is_none();
        let (response, fault) =
            self.pass_on(request, if opens { body::OPENING_MAX } else { body::MAX }).await;
        match fault.flaw() {
            Some(Flaw::Crowded(crowded)) => {
                self.endpoint.note_crowd(&self.caller);
                return crowded_out(crowded).await;
            }
            Some(flaw) => return reply::text(flaw.status(), flaw.to_string()),
            None => {}
        }
        let sessions = &self.endpoint.sessions;
        if let Some(id) = response.headers().get(SESSION_ID).and_then(|id| id.to_str().ok())
            && let Err(too_many) = sessions.bind(id, &self.caller)
        {
            sessions.end(id).await;
            return full(too_many).await;
        }
        match (method, response.status()) {
            (Method::DELETE, StatusCode::ACCEPTED) => with_status(StatusCode::NO_CONTENT, response),
            (Method::POST, StatusCode::INTERNAL_SERVER_ERROR) if opens && sessions.is_full() => {
                full(TooMany::InAll).await
            }
            (Method::POST, StatusCode::UNSUPPORTED_MEDIA_TYPE) => readable(response).await,
            (Method::POST, _) => reply::holding((self.on_its_way, self.under_way), response),
            _ => reply::holding(self.under_way, response),
        }
    }

    /// What rmcp answers to a request of `most` bytes, and what was wrong with the body, if anything was.
    async fn pass_on(&self, request: Request<Body>, most: usize) -> (Response, Fault) {
        let (mut parts, body) = request.into_parts();
        let (body, fault) = Bounded::of(body, most, &self.under_way);
        let is_felt = self.is_sessionless && pulse::is_felt(&parts.headers);
        if parts.method == Method::POST {
            accept_both(&mut parts.headers);
        }
        // A call goes on when its client has gone, and rmcp keeps this for as long as it does.
        parts.extensions.insert(Arc::clone(&self.under_way));
        parts.extensions.insert(fault.clone());
        let (service, pulse) = (self.endpoint.service.clone(), self.endpoint.pulse);
        let answer =
            async move { typed(service.handle(Request::from_parts(parts, body)).await.map(Body::new)) };
        let response = if is_felt { pulse::keep(pulse, &fault, answer).await } else { answer.await };
        (response, fault)
    }
}

/// Whether it asks for what the server has to say unasked: not for the stream of a request that was lost, whose ids
/// have a slash.
fn stands(request: &Request<Body>) -> bool {
    let is_lost = |id: &HeaderValue| id.as_bytes().contains(&b'/');
    request.method() == Method::GET && !request.headers().get(LAST_EVENT_ID).is_some_and(is_lost)
}

/// Whether a request belongs to the newer era: it says so, and which method it is. `initialize` opens a session
/// whatever it says; and what does not name its method, as that era must, may be one.
fn is_sessionless(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    text(PROTOCOL_VERSION).is_some_and(|version| version >= SESSIONLESS)
        && text(METHOD).is_some_and(|method| method != "initialize")
}

/// rmcp asks for both media types by name; plain HTTP clients send `*/*`.
fn accept_both(headers: &mut HeaderMap) {
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
}

/// rmcp does not say that its refusals are text.
fn typed(mut response: Response) -> Response {
    if response.status().is_client_error() || response.status().is_server_error() {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().entry(header::CONTENT_TYPE).or_insert(text);
    }
    response
}

fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}

fn unacceptable() -> Response {
    reply::text(StatusCode::NOT_ACCEPTABLE, "Not Acceptable: there is a stream of events (text/event-stream)")
}

async fn full(too_many: TooMany) -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, too_many.to_string(), "60").await
}

async fn crowded_out(why: impl ToString) -> Response {
    refused(StatusCode::TOO_MANY_REQUESTS, why.to_string(), "1").await
}

async fn refused(status: StatusCode, text: impl Into<String>, retry_after: &'static str) -> Response {
    sleep(REFUSED_AFTER).await;
    let mut response = reply::text(status, text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(retry_after));
    response
}

/// JSON-RPC has its own answers to what is no JSON and to what is no request.
async fn readable(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let Some(cause) = body.strip_prefix(UNREADABLE) else {
        return Response::from_parts(parts, Body::from(body));
    };
    let cause = String::from_utf8_lossy(cause);
    // Only where the text is no JSON does the cause have a line: a message is read whole and then looked into.
    if cause.contains(" at line ") {
        let text = format!("Parse error: {cause}");
        reply::json_rpc_error(StatusCode::BAD_REQUEST, reply::PARSE_ERROR, &text)
    } else {
        let text = "Invalid Request: not one JSON-RPC message";
        reply::json_rpc_error(StatusCode::BAD_REQUEST, reply::INVALID_REQUEST, text)
    }
}
