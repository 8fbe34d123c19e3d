//! Who asks: a key in a header becomes a principal in the request. The key goes no further than to the record, which
//! must know what it is not to hold.
//!
//! A key in the query is never read: addresses end up in logs and histories.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::audit::Event;
use super::call::Caller;
use super::client::Client;
use super::door::Door;
use super::observe::Origin;
use super::reply;
use super::trace::Trace;
use crate::policy::Refused;
use crate::vocab::Secret;

const API_KEY: &str = "x-api-key";

/// Why a request without a valid key is refused where its source has made too many of them.
const TOO_MANY: &str = "too-many";

/// Answers 401 or 429, or hands the request on with its [`Caller`] and without its key.
pub(super) async fn authenticate(
    State(door): State<Arc<Door>>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let Some(Origin { peer, request_id }) = request.extensions().get::<Origin>().cloned() else {
        return reply::text(StatusCode::INTERNAL_SERVER_ERROR, "the request has no origin");
    };
    let policy = door.policy();
    let client = Client::of(peer, request.headers(), &policy.server().proxies);
    let presented = presented(request.headers());
    let identified = match &presented {
        Ok(key) => policy
            .access()
            .identify(key.as_ref(), client.address, client.forwarded, SystemTime::now())
            .map_err(|refused| named(&refused)),
        Err(Ambiguous) => Err(("unreadable", None)),
    };
    let principal = match identified {
        Ok(principal) => principal,
        Err((reason, key)) => {
            let wait = door.refusals.count(client.address, begun).err();
            let (reason, key) = if wait.is_some() { (TOO_MANY, None) } else { (reason, key) };
            door.metrics.unauthenticated(reason);
            let event = Event::refused(reason, key, begun.elapsed()).at(client.address, &request_id);
            door.turned_away(client.address, &event);
            return wait.map_or_else(|| unauthorized(!matches!(presented, Ok(None))), too_many);
        }
    };
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().remove(API_KEY);
    // From callers who are known only: nobody else can put an event into a trace that is not theirs.
    let trace = Trace::of(request.headers());
    let key = presented.ok().flatten();
    request.extensions_mut().insert(Caller { principal, key, address: client.address, request_id, trace });
    next.run(request).await
}

/// Several keys that differ, or a credential that is no key.
#[derive(Debug, PartialEq)]
struct Ambiguous;

/// The key that the request shows, in either header or in both.
fn presented(headers: &HeaderMap) -> Result<Option<Secret>, Ambiguous> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().map(|value| bearer(value));
    let plain = headers.get_all(API_KEY).iter().map(|value| value.to_str().ok().map(str::trim));
    let mut key: Option<&str> = None;
    // An empty key is none, be it in a header that a client fills from a variable that is not set.
    for shown in bearer.chain(plain).filter(|shown| *shown != Some("")) {
        match (shown, key) {
            (Some(shown), None) => key = Some(shown),
            (Some(shown), Some(key)) if shown == key => {}
            _ => return Err(Ambiguous),
        }
    }
    Ok(key.map(Secret::new))
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let credentials = value.to_str().ok()?.trim();
    let (scheme, key) = credentials.split_once(' ').unwrap_or((credentials, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The same for every wrong key, so that nothing can be learnt from it (RFC 6750, 3.1).
fn unauthorized(shown: bool) -> Response<Body> {
    let (challenge, text) = if shown {
        (r#"Bearer realm="kernos", error="invalid_token""#, "Unauthorized: the key is not valid here")
    } else {
        (
            r#"Bearer realm="kernos""#,
            "Unauthorized: show a key, as `Authorization: Bearer KEY` or as `X-Api-Key: KEY`",
        )
    };
    let mut response = reply::json_rpc_error(StatusCode::UNAUTHORIZED, reply::INVALID_REQUEST, text);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// The same for every wrong key too. A right one is served all the same: other agents may come from there.
fn too_many(wait: Duration) -> Response<Body> {
    let seconds = wait.as_millis().div_ceil(1000);
    let text = format!("Too Many Requests: without a valid key, from this address; try again in {seconds} s");
    let mut response = reply::json_rpc_error(StatusCode::TOO_MANY_REQUESTS, reply::INVALID_REQUEST, &text);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(60)));
    response
}

/// A word for it, and whose key it was where that is known: for the record, never for the caller.
fn named(refused: &Refused) -> (&'static str, Option<String>) {
    match refused {
        Refused::NoKey => ("no-key", None),
        Refused::Unknown => ("unknown", None),
        Refused::Expired(name) => ("expired", Some(name.clone())),
        Refused::Elsewhere(name) => ("elsewhere", Some(name.clone())),
        Refused::Remote => ("remote", None),
        Refused::Forwarded => ("forwarded", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fields: &[(&'static str, &'static str)]) -> Result<Option<String>, Ambiguous> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        presented(&headers).map(|key| key.map(|key| key.expose().to_owned()))
    }

    #[test]
    fn a_key_is_taken_from_either_header() {
        let found = Ok(Some("k".to_owned()));
        assert_eq!(key(&[("authorization", "Bearer k")]), found);
        assert_eq!(key(&[("authorization", "bearer   k ")]), found);
        assert_eq!(key(&[("x-api-key", "k")]), found);
        assert_eq!(key(&[("x-api-key", "k"), ("authorization", "Bearer k")]), found);
        assert_eq!(key(&[]), Ok(None));
    }

    #[test]
    fn an_empty_key_is_no_key() {
        for fields in [[("x-api-key", "")], [("x-api-key", " \t")], [("authorization", "Bearer ")]] {
            assert_eq!(key(&fields), Ok(None), "{fields:?}");
        }
        assert_eq!(key(&[("x-api-key", ""), ("authorization", "Bearer k")]), Ok(Some("k".to_owned())));
    }

    #[test]
    fn keys_that_differ_and_credentials_that_are_no_key_are_refused() {
        assert_eq!(key(&[("x-api-key", "k"), ("authorization", "Bearer other")]), Err(Ambiguous));
        assert_eq!(key(&[("x-api-key", "k"), ("x-api-key", "other")]), Err(Ambiguous));
        assert_eq!(key(&[("authorization", "Basic azpr")]), Err(Ambiguous));
        assert_eq!(key(&[("authorization", "Basic")]), Err(Ambiguous));
        assert_eq!(key(&[("authorization", "")]), Err(Ambiguous));
    }
}
