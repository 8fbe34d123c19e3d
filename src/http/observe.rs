//! The outermost layer: every request gets an id and an answer, and both are counted.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;
use http::{HeaderName, HeaderValue, StatusCode};

use super::door::Door;
use super::reply;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where a request came from, and which it is. The peer is put in by [`mod@super::serve`].
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub peer: SocketAddr,
    pub request_id: Arc<str>,
}

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub SocketAddr);

/// Gives the request its id, answers it even if something panics, and counts it.
pub(super) async fn observe(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (path, method) = (request.uri().clone(), request.method().clone());
    let request_id = fresh_id();
    if let Some(Peer(peer)) = request.extensions().get().copied() {
        request.extensions_mut().insert(Origin { peer, request_id: Arc::clone(&request_id) });
    }
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        reply::json_rpc_error(StatusCode::INTERNAL_SERVER_ERROR, reply::INTERNAL_ERROR, "Internal error")
    });
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    door.metrics.request(path.path(), &method, response.status(), begun.elapsed());
    response
}

/// 128 random bits in hex: ours, so that no caller can choose what stands in the record.
fn fresh_id() -> Arc<str> {
    let mut random = [0_u8; 16];
    // Without randomness the id says so; a request is not worth refusing for its label.
    let _ = getrandom::fill(&mut random);
    format!("{:032x}", u128::from_ne_bytes(random)).into()
}
