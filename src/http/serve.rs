//! The listeners and their connections, from the first to the drain.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection;
use super::door::Door;
use super::endpoint::Endpoint;
use super::room::Room;
use super::sessions;

/// How long peers and calls are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// What running calls are given to end by themselves once kernos is told to stop.
    pub grace: Duration,
    /// A handshake of TLS takes some round trips and moments of computing.
    pub handshake: Duration,
    /// A request's head must have come by then: whoever is slower keeps a connection for nothing.
    pub head: Duration,
    /// A peer that takes nothing of its answer for so long will not take the rest either: a minute outlasts any
    /// network that comes back.
    pub unread: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            unread: Duration::from_secs(60),
        }
    }
}

/// What calls that were then ended are given to answer: their processes are killed, which takes moments.
const ANSWER: Duration = Duration::from_secs(2);

/// What connections are given to send what is left.
const CLOSE: Duration = Duration::from_secs(1);

/// Connections at most, where there are descriptors for more: each costs some 10 KiB, and 20 with TLS.
const CONNECTIONS_MAX: u64 = 4096;

/// How often idle sessions are looked for.
const REAP: Duration = Duration::from_secs(60);

/// How often refusals that were counted are put on record.
const SETTLE: Duration = Duration::from_secs(1);

/// After a failed accept (no descriptors left) this passes before the next.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Serves until `shutdown` resolves, then drains: no new connection; running calls get a grace, are then ended
/// and answered with what they have; what is left is closed.
pub async fn serve(
    listeners: Vec<std::net::TcpListener>,
    door: Arc<Door>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_with(Patience::default(), listeners, door, shutdown).await
}

pub(super) async fn serve_with(
    patience: Patience,
    listeners: Vec<std::net::TcpListener>,
    door: Arc<Door>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let endpoint = Endpoint::new(&door);
    let measured = &door.metrics;
    let server = Arc::new(Server {
        patience,
        router: super::router(&door, &endpoint),
        in_the_clear: super::in_the_clear(&door),
        door: Arc::clone(&door),
        connections: TaskTracker::new(),
        room: Room::new(connections_max(), measured.connections.clone(), measured.evicted.clone()),
        finish: CancellationToken::new(),
        abandon: CancellationToken::new(),
    });
    let accepting = CancellationToken::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        tokio::spawn(accepting.clone().run_until_cancelled_owned(accept(listener, Arc::clone(&server))));
    }
    let sessions = endpoint.sessions;
    let reaper = async move {
        loop {
            sleep(REAP).await;
            sessions.reap(sessions::IDLE).await;
        }
    };
    tokio::spawn(accepting.clone().run_until_cancelled_owned(reaper));

    let teller = Arc::clone(&door);
    let teller = async move {
        loop {
            sleep(SETTLE).await;
            teller.settle_refusals().await;
        }
    };
    tokio::spawn(accepting.clone().run_until_cancelled_owned(teller));

    shutdown.await;
    accepting.cancel();
    server.drain().await;
    door.settle_all_refusals();
    door.record.flush();
    Ok(())
}

/// What the connections share.
pub(super) struct Server {
    pub patience: Patience,
    pub door: Arc<Door>,
    pub router: Router,
    /// For connections that do not speak TLS where it is spoken.
    pub in_the_clear: Router,
    connections: TaskTracker,
    room: Arc<Room>,
    /// Connections end after the answer that they are at.
    pub finish: CancellationToken,
    /// Connections end at once.
    pub abandon: CancellationToken,
}

impl Server {
    async fn drain(&self) {
        let door = &self.door;
        self.connections.close();
        door.calls.close();
        door.answers.close();
        self.finish.cancel();
        if timeout(self.patience.grace, door.calls.wait()).await.is_err() {
            tracing::warn!(calls = door.calls.len(), "calls are still running and are ended now");
        }
        door.stop.cancel();
        let answered = async {
            door.calls.wait().await;
            door.answers.wait().await;
        };
        if timeout(ANSWER, answered).await.is_err() {
            tracing::warn!(answers = door.answers.len(), "answers could not be sent in time");
        }
        door.close.cancel();
        let _ = timeout(CLOSE, self.connections.wait()).await;
        self.abandon.cancel();
        self.connections.wait().await;
    }
}

/// Half of the descriptors of this process: the other half is for the pipes of calls, which nobody without a key
/// may take away.
fn connections_max() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((descriptors / 2).clamp(1, CONNECTIONS_MAX)).unwrap_or(1)
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let seat = Arc::clone(&server.room).seat().await;
                server.connections.spawn(connection::serve(Arc::clone(&server), stream, peer, seat));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::net::SocketAddr;
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    use axum::body::Body;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::http::testing::{House, initialize, legacy, modern};

    const SOON: Duration = Duration::from_millis(100);

    fn brief() -> Patience {
        Patience { grace: SOON, ..Patience::default() }
    }

    /// Sends a request as it would stand on the wire.
    async fn send(address: SocketAddr, request: http::Request<Body>) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        write(&mut stream, request).await;
        stream
    }

    async fn write(stream: &mut TcpStream, request: http::Request<Body>) {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut head =
            format!("{} {} HTTP/1.1\r\ncontent-length: {}\r\n", parts.method, parts.uri, body.len());
        for (name, value) in &parts.headers {
            let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap());
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
    }

    fn sleep_call() -> http::Request<Body> {
        let call = json!({"name": "shell_execute", "arguments": {"command": ["sleep"]}});
        modern("alice's key", "tools/call", call)
    }

    async fn running(house: &House) {
        while house.door.calls.is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_call_that_runs_into_the_drain_is_answered_with_what_it_has() {
        let house = House::new();
        let (address, stop, served) = house.serve(brief());
        let mut stream = send(address, sleep_call()).await;
        running(&house).await;
        stop.cancel();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        let structured = &body["result"]["structuredContent"];
        assert_eq!((&structured["ended"], &structured["stdout"]), (&json!("cancelled"), &json!("so far\n")));
        served.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn a_closed_connection_ends_its_call() {
        let house = House::new();
        let (address, _stop, _served) = house.serve(brief());
        let stream = send(address, sleep_call()).await;
        running(&house).await;
        drop(stream);
        until("the end of the call", || house.door.calls.is_empty()).await;
        assert_eq!(house.stage.stopped.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn idle_connections_and_standing_streams_do_not_hold_the_drain() {
        let house = House::new();
        let (address, stop, served) = house.serve(brief());
        let _idle = TcpStream::connect(address).await.unwrap();
        let mut opening = send(address, legacy("alice's key", None, &initialize())).await;
        let mut opened = vec![0; 4096];
        let length = opening.read(&mut opened).await.unwrap();
        let head = String::from_utf8_lossy(&opened[..length]).into_owned();
        let id = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap();
        let mut standing = legacy("alice's key", Some(id), &json!({}));
        *standing.method_mut() = http::Method::GET;
        standing.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
        let _standing = send(address, standing).await;
        sleep(SOON).await;
        let begun = Instant::now();
        stop.cancel();
        served.await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    /// Sends a request whose answer is not read, from a socket that holds little of it.
    async fn send_and_never_read(address: SocketAddr, request: http::Request<Body>) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        write(&mut stream, request).await;
        stream
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        let seen = async {
            while !holds() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), seen).await.unwrap_or_else(|_| panic!("never seen: {what}"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_that_does_not_read_stalls_only_itself_and_not_for_ever() {
        let house = House::new();
        let (address, _stop, _served) = house.serve(Patience { unread: SOON * 5, ..brief() });
        let call = |command: &str| {
            let call = json!({"name": "shell_execute", "arguments": {"command": [command]}});
            modern("alice's key", "tools/call", call)
        };
        let _unread = send_and_never_read(address, call("yes")).await;
        until("the end of the call", || {
            house.measured().contains("outcome=\"exited\",tool=\"shell_execute\"} 1")
        })
        .await;
        assert_eq!(house.door.metrics.connections.get(), 1, "its answer is still on its way");
        // Alice may run one call at a time: the answer that nobody takes must not count as one.
        let mut next = send(address, call("echo")).await;
        let mut begun = [0; 15];
        timeout(Duration::from_secs(5), next.read_exact(&mut begun)).await.unwrap().unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200 OK");
        drop(next);
        until("the end of the connection", || house.door.metrics.connections.get() == 0).await;
    }

    #[tokio::test]
    async fn a_connection_may_be_idle_only_so_long_and_a_call_is_not_idle() {
        let house = House::new();
        let (address, _stop, _served) = house.serve(Patience { head: SOON, ..brief() });
        let calling = send(address, sleep_call()).await;
        let mut idle = send(address, modern("alice's key", "tools/list", json!({}))).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut answer = Vec::new();
        timeout(Duration::from_secs(5), idle.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
        assert_eq!(timeout(Duration::from_secs(5), silent.read(&mut [0])).await.unwrap().unwrap(), 0);
        sleep(SOON * 3).await;
        assert_eq!(house.door.calls.len(), 1);
        drop(calling);
    }
}
