//! Answers that kernos gives itself, in the few shapes that there are.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

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

/// So much of an answer may still be unsent when nothing is held for it any more.
const PIECE: usize = 256 * 1024;

/// The same answer, whose body holds `value` until its last piece is about to be sent. Whole, its sender would take it
/// at once, however slowly the peer does.
pub(super) fn holding<T: Send + Unpin + 'static>(value: T, response: Response) -> Response {
    response.map(|body| Body::new(Holding { body, rest: Bytes::new(), _value: value }))
}

struct Holding<T> {
    body: Body,
    /// What is left of a frame that was longer than a piece.
    rest: Bytes,
    _value: T,
}

impl<T: Unpin> HttpBody for Holding<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_value_is_held_until_the_last_piece_of_an_answer() {
        let (value, whole) = (Arc::new(()), "x".repeat(PIECE * 2 + 1));
        let mut body = holding(Arc::clone(&value), text(StatusCode::OK, whole.clone())).into_body();
        let mut sizes = Vec::new();
        let mut pieces = String::new();
        while let Some(frame) = body.frame().await {
            sizes.push(body.size_hint().exact().unwrap());
            assert_eq!((Arc::strong_count(&value), body.is_end_stream()), (2, sizes.len() == 3));
            pieces += std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap();
        }
        assert_eq!(sizes, [PIECE as u64 + 1, 1, 0]);
        assert!(pieces == whole);
        drop(body);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
