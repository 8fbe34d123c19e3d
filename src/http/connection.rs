//! One connection, from its acceptance to its end.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::ServiceExt;

use super::observe::Peer;
use super::room::{Occupant, Seat};
use super::serve::Server;
use super::tls::{self, Opened};

/// Bytes of a request's head at most: keys and protocol headers are short.
const HEAD_MAX: usize = 64 * 1024;

type Ended = Result<(), Box<dyn Error + Send + Sync>>;

/// Serves one peer until it has no more requests, its seat is wanted for another, or the server is to end.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream, peer: SocketAddr, seat: Seat) {
    prepare(&stream, server.patience.unread);
    let ended = tokio::select! {
        ended = open(&server, stream, peer, &seat) => ended,
        () = seat.wanted() => Err("it made room for another".into()),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

async fn open(server: &Server, stream: TcpStream, peer: SocketAddr, seat: &Seat) -> Ended {
    let connection = Connection { server, peer, occupant: seat.occupant() };
    let Some(acceptor) = server.door.tls() else {
        return connection.converse(stream, &server.router).await;
    };
    let opened = tokio::select! {
        opened = timeout(server.patience.handshake, tls::open(&acceptor, stream)) => opened??,
        () = server.finish.cancelled() => return Ok(()),
    };
    match opened {
        Opened::Secured(stream) => connection.converse(stream, &server.router).await,
        Opened::InTheClear(stream) => connection.converse(stream, &server.in_the_clear).await,
        Opened::Closed => Ok(()),
    }
}

struct Connection<'s> {
    server: &'s Server,
    peer: SocketAddr,
    occupant: Arc<Occupant>,
}

impl Connection<'_> {
    /// Answers requests until there are no more.
    async fn converse<I: AsyncRead + AsyncWrite + Unpin>(self, stream: I, router: &Router) -> Ended {
        let Self { server, peer, occupant } = self;
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(Arc::clone(&occupant));
            let answer = router.clone().oneshot(request.map(Body::new));
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(server.patience.head)
            .max_header_size(HEAD_MAX)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = server.finish.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            ended = connection => Ok(ended?),
            () = server.abandon.cancelled() => Ok(()),
        }
    }
}

/// What the kernel does for a connection. That it cannot is no reason not to serve it.
fn prepare(stream: &TcpStream, unread: Duration) {
    // Small answers go out at once; with Nagle's algorithm they wait for a delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    // The connection ends when nothing that was sent is taken for so long, be it that the peer does not read or that
    // it is gone (tcp(7), TCP_USER_TIMEOUT). It needs no timer here, and does not cut a stream that is silent.
    let _ = set_tcp_user_timeout(stream, u32::try_from(unread.as_millis()).unwrap_or(u32::MAX));
}
