//! The door: who may come in, what is asked for, what is answered, and what is put on record.
//!
//! | route | who | what |
//! |---|---|---|
//! | `/mcp`, `/mcp/` | a key | the Model Context Protocol, both eras |
//! | `/live`, `/ready`, `/health` | anybody | whether kernos lives and can serve |
//! | `/metrics` | anybody | what is measured |
//!
//! A request passes [`observe`] (its id, its answer if something panics), [`guard`] (was it meant for us),
//! [`auth`] (who asks), [`endpoint`] and [`mcp`] (what is asked), and [`call`] (may it now, and do it). Nothing
//! here decides what a key may do: that is the policy's.

mod answers;
mod audit;
mod auth;
mod body;
mod budget;
mod call;
mod client;
mod connection;
mod door;
mod endpoint;
mod families;
mod guard;
mod journal;
mod mcp;
mod metrics;
mod now;
mod observe;
mod pace;
mod probes;
mod progress;
mod pulse;
mod queue;
mod record;
mod redact;
mod refusals;
mod reply;
mod revoke;
mod room;
mod running;
mod serve;
mod sessions;
mod sink;
mod stderr;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod trace;
mod under_way;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get};
use http::{HeaderValue, StatusCode, header};

pub use door::{Door, Parts};
pub use journal::{Journal, SOCKET as JOURNAL_SOCKET};
pub use metrics::Build;
pub use now::{CallNow, CallState, Stopped};
pub use record::Record;
pub use serve::serve;
pub use sink::Sink;
pub use stderr::Lines;
pub use tls::examine;

use audit::Event;
use client::Client;
use endpoint::Endpoint;
use guard::Guard;
use observe::Origin;

/// What is answered to whoever does not speak the TLS that is spoken here.
fn in_the_clear(door: &Arc<Door>) -> Router {
    let refuse = || async {
        let text = "Bad Request: this port speaks TLS: use https://. A key that was just sent has crossed the network \
            in the clear";
        let mut response = reply::text(StatusCode::BAD_REQUEST, text);
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    };
    Router::new().fallback(refuse).layer(from_fn_with_state(Arc::clone(door), observe::observe))
}

/// Every route with its layers, the outermost last.
fn router(door: &Arc<Door>, endpoint: &Endpoint) -> Router {
    let mcp = Router::new()
        .route("/mcp", any(endpoint::answer))
        .route("/mcp/", any(endpoint::answer))
        .with_state(endpoint.clone())
        .layer(from_fn_with_state(Arc::clone(door), auth::authenticate))
        .layer(from_fn_with_state(Arc::clone(door), meant_for_us));
    Router::new()
        .route("/live", get(probes::live))
        .route("/ready", get(probes::ready))
        .route("/health", get(probes::health))
        .route("/metrics", get(probes::measures))
        .with_state(Arc::clone(door))
        .merge(mcp)
        // Outside of authentication, `/.well-known/*` too: clients take a 401 there for an offer of OAuth.
        .fallback(|| async { reply::text(StatusCode::NOT_FOUND, "Not Found") })
        .layer(from_fn_with_state(Arc::clone(door), observe::observe))
}

async fn meant_for_us(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let policy = door.policy();
    let guard = Guard {
        hosts: &policy.server().hosts,
        origins: &policy.server().origins,
        listening: &door.listening,
    };
    if let Err(stranger) = guard.admits(request.uri(), request.headers()) {
        if let Some(Origin { peer, request_id }) = request.extensions().get() {
            let from = Client::of(*peer, request.headers(), &policy.server().proxies).address;
            let event = Event::refused(stranger.reason(), None, Duration::ZERO).at(from, request_id);
            door.turned_away(from, &event);
        }
        let status = stranger.status();
        let reason = status.canonical_reason().unwrap_or_default();
        return reply::text(status, format!("{reason}: {stranger}"));
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match guard::preflight(request.method(), request.headers()) {
        Some(response) if origin.is_some() => response,
        _ => next.run(request).await,
    };
    if let Some(origin) = origin {
        guard::allow_origin(origin, &mut response);
    }
    response
}
