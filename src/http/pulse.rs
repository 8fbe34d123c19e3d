//! Signs of life while there is nothing to say.
//!
//! In the newer era an answer is one body of JSON, and nothing is written while a command runs. Silence is taken for
//! a broken connection: by nginx after one minute, by the HTTP clients of Node and Python after five. So an answer
//! that is late comes as a stream of events, the form that the protocol has for it, with a comment now and then.
//!
//! In the older era a client may have a stream open without a request, for what its server has to say unasked. kernos
//! has nothing to: there are only signs of life. Not for streams of requests of that era, which rmcp keeps alive.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::time::timeout;

use super::body::Fault;
use super::reply;

/// As often as rmcp writes to the streams that it keeps alive.
pub(super) const PULSE: Duration = Duration::from_secs(15);

/// A comment, which readers of events leave out.
const SIGN: Bytes = Bytes::from_static(b":\n\n");

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Whether the client says that it reads events: one that takes anything may be no MCP client at all.
pub(super) fn is_felt(headers: &HeaderMap) -> bool {
    let says = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("text/event-stream"))
    };
    headers.get_all(header::ACCEPT).iter().any(says)
}

/// The answer, if it comes in time; else events, with it as the last. Time counts from when the request is read: until
/// then its own client is heard of, and may still be told what is wrong with it.
pub(super) async fn keep(
    pulse: Duration,
    request: &Fault,
    answer: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let mut answer = answer.boxed();
    loop {
        match timeout(pulse, &mut answer).await {
            Ok(answer) => return answer,
            Err(_) if request.is_over() => return events(pulse, answer),
            Err(_) => {}
        }
    }
}

/// A stream with nothing but signs of life, until `ended`.
pub(super) fn standing(pulse: Duration, ended: impl Future<Output = ()> + Send + 'static) -> Response {
    let nothing = async {
        ended.await;
        reply::with_type(StatusCode::OK, "text/event-stream", "")
    };
    events(pulse, nothing.boxed())
}

fn events(pulse: Duration, answer: BoxFuture<'static, Response>) -> Response {
    let later = stream::unfold(Some(answer), move |answer| async move {
        let mut answer = answer?;
        match timeout(pulse, &mut answer).await {
            Ok(answer) => Some((event(answer), None)),
            Err(_) => Some((Body::from(SIGN), Some(answer))),
        }
    });
    let bodies = stream::once(async { Body::from(SIGN) }).chain(later);
    let mut response = Response::new(Body::from_stream(bodies.flat_map(Body::into_data_stream)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENTS);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The answer as an event. One that is none, and that no event can be made of, breaks the stream off.
fn event(answer: Response) -> Body {
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let body = answer.into_body();
    match kind.as_ref().map(HeaderValue::as_bytes) {
        Some(kind) if kind.starts_with(EVENTS.as_bytes()) => body,
        // It is written without line breaks, which an event could not hold.
        Some(b"application/json") => {
            Body::from_stream(bytes(b"data: ").chain(body.into_data_stream()).chain(bytes(b"\n\n")))
        }
        _ => Body::from_stream(stream::once(async { Err::<Bytes, _>(io::Error::other("no event")) })),
    }
}

fn bytes(text: &'static [u8]) -> impl Stream<Item = Result<Bytes, axum::Error>> {
    stream::once(async move { Ok(Bytes::from_static(text)) })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::sync::oneshot;
    use tokio::time::sleep;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    async fn kept(answer: impl Future<Output = Response> + Send + 'static) -> Response {
        keep(SOON, &Fault::over(), answer).await
    }

    async fn late(answer: Response) -> Response {
        kept(async {
            sleep(SOON * 5).await;
            answer
        })
        .await
    }

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_in_time_is_as_it_was() {
        let answer = kept(async { reply::text(StatusCode::NOT_FOUND, "no") }).await;
        assert_eq!((answer.status(), text(answer).await), (StatusCode::NOT_FOUND, "no".to_owned()));
    }

    #[tokio::test]
    async fn a_late_answer_is_an_event_after_signs_of_life() {
        let answer = late(reply::with_type(StatusCode::OK, "application/json", r#"{"id":1}"#)).await;
        assert_eq!((answer.status(), &answer.headers()[header::CONTENT_TYPE]), (StatusCode::OK, &EVENTS));
        let text = text(answer).await;
        let signs = text.strip_suffix("data: {\"id\":1}\n\n").unwrap();
        assert!(signs.len() > SIGN.len() && signs.replace(":\n\n", "").is_empty(), "{text:?}");
    }

    #[tokio::test]
    async fn events_that_begin_late_stay_events() {
        let text =
            text(late(reply::with_type(StatusCode::OK, "text/event-stream", "data: 1\n\n")).await).await;
        assert!(text.starts_with(":\n\n") && text.ends_with(":\n\ndata: 1\n\n"), "{text:?}");
    }

    #[tokio::test]
    async fn what_is_no_answer_breaks_the_stream_off() {
        let answer = late(reply::text(StatusCode::INTERNAL_SERVER_ERROR, "no")).await;
        assert!(answer.into_body().collect().await.is_err());
    }

    #[tokio::test]
    async fn who_stops_listening_ends_what_the_answer_was_made_of() {
        let (made, unmade) = oneshot::channel::<Response>();
        let answer = kept(async { unmade.await.unwrap() }).await;
        assert!(!made.is_closed());
        drop(answer);
        assert!(made.is_closed());
    }

    #[test]
    fn only_who_names_events_is_sent_them() {
        let felt =
            |accept| is_felt(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]));
        assert!(felt("application/json, text/event-stream"));
        assert!(!felt("application/json") && !felt("*/*") && !is_felt(&HeaderMap::new()));
    }
}
