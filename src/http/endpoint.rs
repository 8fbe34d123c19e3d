//! `/mcp`: rmcp's service, and around it what rmcp leaves to its host.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;

use super::audit::Event;
use super::body::{Bounded, Fault};
use super::budget::Terms;
use super::call::Caller;
use super::door::Door;
use super::mcp::{self, Service};
use super::pulse;
use super::reply;
use super::sessions::Sessions;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
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

impl Endpoint {
    pub(super) fn new(door: &Arc<Door>) -> Self {
        let sessions = Arc::clone(&door.sessions);
        let service = mcp::service(door, &sessions);
        Self { sessions, pulse: pulse::PULSE, service, door: Arc::clone(door) }
    }

    /// What rmcp answers, and what was wrong with the body, if anything was.
    async fn handle(&self, request: Request<Body>) -> (Response, Fault) {
        let (mut parts, body) = request.into_parts();
        let (body, fault) = Bounded::of(body);
        let is_felt = is_sessionless(&parts.headers) && pulse::is_felt(&parts.headers);
        if parts.method == Method::POST {
            accept_both(&mut parts.headers);
        }
        let service = self.service.clone();
        let answer =
            async move { typed(service.handle(Request::from_parts(parts, body)).await.map(Body::new)) };
        let response = if is_felt { pulse::keep(self.pulse, &fault, answer).await } else { answer.await };
        (response, fault)
    }
}

/// Answers `/mcp` for a caller that is known.
pub(super) async fn answer(
    State(endpoint): State<Endpoint>,
    Extension(caller): Extension<Caller>,
    mut request: Request<Body>,
) -> Response {
    let sessions = &endpoint.sessions;
    if is_sessionless(request.headers()) {
        request.headers_mut().remove(SESSION_ID);
    }
    if let Some(id) = request.headers().get(SESSION_ID)
        && !id.to_str().is_ok_and(|id| sessions.belongs(id, &caller))
    {
        if id.to_str().is_ok_and(|id| sessions.belongs_to_another(id, &caller)) {
            let owner = caller.principal.name().to_owned();
            let event = Event::refused("session", Some(owner), Duration::ZERO);
            endpoint.door.turned_away(caller.address, &event.at(caller.address, &caller.request_id));
        }
        return reply::text(StatusCode::NOT_FOUND, "Not Found: there is no such session");
    }
    let method = request.method().clone();
    let budget = endpoint.door.budgets.of(caller.principal.name(), Terms::of(caller.principal.grant()));
    let under_way = match budget.request() {
        Ok(under_way) => under_way,
        Err(crowded) => return refused(StatusCode::TOO_MANY_REQUESTS, crowded.to_string(), "1"),
    };
    // An answer on its way, until its body is dropped: a drain waits for it.
    let token = endpoint.door.answers.token();
    let opens = method == Method::POST && !request.headers().contains_key(SESSION_ID);

    let (response, fault) = endpoint.handle(request).await;
    if let Some(flaw) = fault.flaw() {
        return reply::text(flaw.status(), flaw.to_string());
    }
    if let Some(id) = response.headers().get(SESSION_ID).and_then(|id| id.to_str().ok())
        && !sessions.bind(id, &caller)
    {
        sessions.end(id).await;
        return full();
    }
    match (method, response.status()) {
        (Method::DELETE, StatusCode::ACCEPTED) => with_status(StatusCode::NO_CONTENT, response),
        (Method::POST, StatusCode::INTERNAL_SERVER_ERROR) if opens && sessions.is_full() => full(),
        (Method::POST, StatusCode::UNSUPPORTED_MEDIA_TYPE) => readable(response).await,
        (Method::POST, _) => reply::holding((token, under_way), response),
        _ => response,
    }
}

fn is_sessionless(headers: &HeaderMap) -> bool {
    headers.get(PROTOCOL_VERSION).and_then(|version| version.to_str().ok()).is_some_and(|v| v >= SESSIONLESS)
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

fn full() -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, "there are too many sessions: end one", "60")
}

fn refused(status: StatusCode, text: impl Into<String>, retry_after: &'static str) -> Response {
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
