//! Which request, and how it was answered, in labels of a bounded number; and the answers that are to be expected.
//!
//! A series that is there from the start, with 0, is what makes the first answer of its kind visible as a rise. Not
//! every combination that there could be: that would be hundreds that never rise.

use http::Method;

/// The routes that there are; everything else is `other`.
pub(super) const ROUTES: [&str; 6] = ["/mcp", "/live", "/ready", "/health", "/metrics", "other"];

/// By route and method, the status codes that docs/http.md has for them.
const EXPECTED: [(&str, &str, &[u16]); 10] = [
    ("/mcp", "POST", &[200, 202, 400, 401, 403, 404, 408, 413, 415, 429, 500, 503]),
    ("/mcp", "GET", &[200, 400, 401, 403, 404, 405, 406, 429, 500]),
    ("/mcp", "DELETE", &[204, 400, 401, 403, 404, 405, 429, 500]),
    ("/mcp", "OPTIONS", &[204, 401, 403]),
    ("/live", "GET", &[200]),
    ("/ready", "GET", &[200, 503]),
    ("/health", "GET", &[200, 503]),
    ("/metrics", "GET", &[200]),
    // Clients ask for a description of OAuth, and people for `/`.
    ("other", "GET", &[404]),
    ("other", "POST", &[404]),
];

/// Every answer that is to be expected: route, method and status code.
pub(super) fn expected() -> impl Iterator<Item = (&'static str, &'static str, u16)> {
    EXPECTED
        .into_iter()
        .flat_map(|(route, method, codes)| codes.iter().map(move |code| (route, method, *code)))
}

/// The label of a path.
pub(super) fn route(path: &str) -> &'static str {
    let path = if path == "/mcp/" { "/mcp" } else { path };
    ROUTES.into_iter().find(|route| *route == path).unwrap_or("other")
}

/// The label of a method.
pub(super) fn method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "DELETE", "OPTIONS", "HEAD"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use axum::body::Body;
    use http::{Request, header};
    use serde_json::json;

    use super::*;
    use crate::http::testing::{House, initialize, legacy, modern, open_session, post};

    #[test]
    fn what_is_expected_has_the_labels_that_a_request_gets_and_is_little() {
        for (route, method, _) in expected() {
            assert_eq!((self::route(route), self::method(&method.parse().unwrap())), (route, method));
        }
        let expected: BTreeSet<_> = expected().collect();
        assert!(expected.len() < 50 && expected.len() == self::expected().count(), "{}", expected.len());
    }

    #[test]
    fn what_a_caller_writes_does_not_become_a_label() {
        assert_eq!([route("/coffee"), route("/mcp/"), route("other")], ["other", "/mcp", "other"]);
        assert_eq!(method(&Method::from_bytes(b"BREW").unwrap()), "other");
    }

    /// The series that there are, each with its value.
    fn series(house: &House) -> BTreeMap<String, u64> {
        let measured = house.measured();
        let lines = measured.lines().filter(|line| line.starts_with("kernos_http_requests_total{"));
        let parts = lines.map(|line| line.rsplit_once(' ').unwrap());
        parts.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }

    fn by(method: &str, mut request: Request<Body>) -> Request<Body> {
        *request.method_mut() = method.parse().unwrap();
        request.headers_mut().insert(header::ACCEPT, "text/event-stream".parse().unwrap());
        request
    }

    fn get(path: &str) -> Request<Body> {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn usual_answers_are_counted_from_0_on() {
        let house = House::new();
        let before = series(&house);
        assert!(before.values().all(|value| *value == 0), "{before:?}");

        let id = open_session(&house).await;
        let in_session = || legacy("alice's key", Some(&id), &json!({}));
        let alone = || legacy("alice's key", None, &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
        let newer = || modern("alice's key", "tools/list", json!({}));
        let of_a_page = post().header(header::ORIGIN, "https://attacker.example");
        for (request, status) in [
            (newer(), 200),
            (by("DELETE", newer()), 405),
            (alone(), 400),
            (by("DELETE", alone()), 400),
            (by("GET", in_session()), 200),
            (by("GET", alone()), 400),
            (legacy("no key", None, &initialize()), 401),
            (of_a_page.body(Body::empty()).unwrap(), 403),
            (by("DELETE", in_session()), 204),
            (by("DELETE", in_session()), 404),
            (by("GET", in_session()), 404),
            (get("/live"), 200),
            (get("/ready"), 200),
            (get("/health"), 200),
            (get("/metrics"), 200),
            (get("/.well-known/oauth-protected-resource"), 404),
        ] {
            let told = format!("{} {}", request.method(), request.uri());
            assert_eq!(house.send(request).await.status(), status, "{told}");
        }
        let after = series(&house);
        assert!(after.keys().eq(before.keys()), "{after:?}");
        // And the two that opened the session.
        assert_eq!(after.values().sum::<u64>(), 16 + 2);
    }
}
