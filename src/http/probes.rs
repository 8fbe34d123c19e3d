//! Whether kernos lives and can serve: for whoever watches it, and open to all.
//!
//! It names checks and their state; causes are in the journal only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::door::Door;
use super::{metrics, reply};

/// `/live`: it answers, so it lives.
pub(super) async fn live() -> Response {
    reply::json(StatusCode::OK, &json!({"live": true}))
}

/// `/ready`: 503 when calls cannot be served.
pub(super) async fn ready(State(door): State<Arc<Door>>) -> Response {
    Health::of(&door).answer()
}

/// `/health`: both at once.
pub(super) async fn health(State(door): State<Arc<Door>>) -> Response {
    let mut health = Health::of(&door);
    health.json["live"] = true.into();
    health.answer()
}

/// `/metrics`: Prometheus' text, or JSON where that is asked for.
pub(super) async fn measures(State(door): State<Arc<Door>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") {
        reply::json(StatusCode::OK, &door.metrics.json())
    } else {
        reply::with_type(StatusCode::OK, metrics::TEXT, door.metrics.text())
    }
}

/// What `/ready` says.
struct Health {
    ready: bool,
    json: Value,
}

impl Health {
    fn of(door: &Door) -> Self {
        let executor = door.runner.serves();
        let stopping = door.is_stopping();
        let ready = executor && !door.record.holds_calls() && !stopping;
        let (gaps, reload_refused) = (door.gaps(), door.reload_refused.load(Ordering::Relaxed));
        let state = |good: bool, bad: &'static str| if good { "ok" } else { bad };
        let json = json!({
            "ready": ready,
            "stopping": stopping,
            "checks": {
                "policy": {"state": state(!reload_refused, "reload-refused"), "digest": door.policy().digest()},
                "executor": {"state": state(executor, "gone")},
                "record": {"state": state(door.record.works(), "failing")},
                "sandbox": {"state": state(gaps.is_empty(), "gaps"), "gaps": gaps},
            },
        });
        Self { ready, json }
    }

    fn answer(self) -> Response {
        let status = if self.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        reply::json(status, &self.json)
    }
}
