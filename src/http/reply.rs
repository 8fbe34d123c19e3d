//! Answers that kernos gives itself, in the few shapes that there are.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};

/// JSON-RPC 2.0, 5.1: the text is not JSON.
pub(super) const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0, 5.1: the JSON is not a request.
pub(super) const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC 2.0, 5.1: it broke down.
pub(super) const INTERNAL_ERROR: i32 = -32603;

/// Plain text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response {
    with_type(status, "text/plain; charset=utf-8", text.into())
}

/// JSON.
pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    with_type(status, "application/json", value.to_string())
}

/// A JSON-RPC error about no request in particular.
pub(super) fn json_rpc_error(status: StatusCode, code: i32, message: &str) -> Response {
    json(status, &json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}}))
}

/// Text of a given type.
pub(super) fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The same answer, whose body holds `value` until it is dropped.
pub(super) fn holding<T: Send + Unpin + 'static>(value: T, response: Response) -> Response {
    response.map(|body| Body::new(Holding { body, _value: value }))
}

struct Holding<T> {
    body: Body,
    _value: T,
}

impl<T: Unpin> HttpBody for Holding<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
