//! A door with a stand-in for the executor, and requests to it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use http::{Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::call::Caller;
use super::endpoint::Endpoint;
use super::observe::Peer;
use super::serve::Patience;
use super::sessions::Sessions;
use super::{Build, Door, Parts, Record, Sink};
use crate::exec::{self, Captured, Ended, Outcome, Source, StageEnd, StageOutcome, Stop, Watch};
use crate::policy::{Plan, Policy, testing};
use crate::tools::Runner;
use crate::vocab::Secret;

pub(super) const MODERN: &str = "2026-07-28";

/// `cat` gives its standard input back, `yes` more than the kernel holds for a peer, `sleep` waits to be stopped, `seq`
/// does too and counts aloud, `boom` panics; the rest exits with 0.
#[derive(Default)]
pub(super) struct Stage {
    pub stopped: AtomicUsize,
}

impl Runner for Stage {
    fn run(
        &self,
        plan: Plan,
        stdin: Vec<u8>,
        watch: Watch,
        stop: BoxFuture<'static, Stop>,
    ) -> BoxFuture<'_, Result<Outcome, exec::Error>> {
        let run = async move {
            let program = plan.pipelines().next().unwrap().1.stages()[0].argv()[0].clone();
            let (ended, head) = match program.as_str() {
                "cat" => (Ended::Exited(0), stdin),
                "yes" => (Ended::Exited(0), b"y\n".repeat(4 << 20)),
                "sleep" => {
                    let why = stop.await;
                    self.stopped.fetch_add(1, Ordering::SeqCst);
                    (why.into(), b"so far\n".to_vec())
                }
                "seq" => {
                    counting(&watch).take_until(stop).collect::<()>().await;
                    (Ended::Cancelled, Vec::new())
                }
                "boom" => panic!("boom"),
                _ => (Ended::Exited(0), Vec::new()),
            };
            let stage = StageOutcome { program, status: 0, ended: StageEnd::Exited(0), error: None };
            Ok(Outcome {
                ended,
                stages: vec![stage],
                stdout: Captured { head, ..Captured::default() },
                stderr: Captured::default(),
                took: Duration::from_millis(1),
            })
        };
        run.boxed()
    }

    fn serves(&self) -> bool {
        true
    }
}

/// Writes a number each 300 milliseconds.
fn counting(watch: &Watch) -> impl Stream<Item = ()> + use<'_> {
    futures::stream::iter(0..).then(async |number| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        watch.show(Source::Stdout, format!("{number}\n").as_bytes());
    })
}

/// A door of its own for a test.
pub(super) struct House {
    pub door: Arc<Door>,
    pub stage: Arc<Stage>,
    pub router: Router,
    pub sessions: Arc<Sessions>,
}

impl House {
    pub(super) fn new() -> Self {
        Self::with(&alice())
    }

    /// With these tables in place of the keys; there is a key of bob's, who may call no tool, in any case.
    pub(super) fn with(tables: &str) -> Self {
        Self::recorded(tables, Record::new(Sink::Text, false, None).unwrap())
    }

    /// Serves on a port of its own until told to stop.
    pub(super) fn serve(
        &self,
        patience: Patience,
    ) -> (std::net::SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (door, stop) = (Arc::clone(&self.door), CancellationToken::new());
        let shutdown = stop.clone().cancelled_owned();
        let served = async move {
            super::serve::serve_with(patience, vec![listener], door, shutdown).await.unwrap();
        };
        (address, stop, tokio::spawn(served))
    }

    pub(super) fn recorded(tables: &str, record: Record) -> Self {
        let stage = Arc::new(Stage::default());
        let policy = policy(tables);
        let door = Door::new(Parts {
            policy: Arc::new(policy),
            runner: Arc::clone(&stage) as Arc<dyn Runner>,
            record,
            build: Build { version: "0", revision: "0", rustc: "0", privileges_dropped: false },
            listening: vec!["127.0.0.1:22021".parse().unwrap()],
            gaps: vec!["the host holds nothing".to_owned()],
        });
        let mut endpoint = Endpoint::new(&door);
        endpoint.pulse = Duration::from_millis(20);
        let router = super::router(&door, &endpoint);
        Self { door, stage, router, sessions: endpoint.sessions }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Response {
        self.send_from([127, 0, 0, 1].into(), request).await
    }

    pub(super) async fn send_from(&self, address: IpAddr, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(Peer((address, 4711).into()));
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The answer to a request from this host, for a task of its own.
    pub(super) fn at_home(&self, mut request: Request<Body>) -> impl Future<Output = Response> + use<> {
        request.extensions_mut().insert(Peer(([127, 0, 0, 1], 4711).into()));
        let router = self.router.clone();
        async move { router.oneshot(request).await.unwrap() }
    }

    /// A message of the newer era from alice, and its answer.
    pub(super) async fn modern(&self, method: &str, params: Value) -> Value {
        answer(self.send(modern("alice's key", method, params)).await).await.1
    }

    /// Alice's call of `sleep` in the newer era, once it is listed.
    pub(super) async fn sleeping(&self) -> JoinHandle<Value> {
        let call = json!({"name": "shell_execute", "arguments": {"command": ["sleep"]}});
        let answered = self.at_home(modern("alice's key", "tools/call", call));
        let before = self.door.running.calls().len();
        let call = tokio::spawn(async move { answer(answered.await).await.1 });
        while self.door.running.calls().len() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        call
    }

    /// Alice's call of `shell_execute` in the newer era: its result.
    pub(super) async fn run(&self, arguments: Value) -> Value {
        let call = json!({"name": "shell_execute", "arguments": arguments});
        self.modern("tools/call", call).await["result"].clone()
    }

    /// Everything that is measured, as text.
    pub(super) fn measured(&self) -> String {
        String::from_utf8(self.door.metrics.text()).unwrap()
    }
}

const FRAME: &str = r#"
[server]
user = "kernos"
run_as = "kernos-run"
sandbox = "best-effort"
hosts = ["caliban.incus"]
origins = ["https://app.example.com"]
proxies = ["10.0.0.0/8"]
[root.work]
path = "/srv/work"
[limits]
stdin = "1KiB"
concurrent = 1
[command.echo]
[command.cat]
[command.sleep]
[command.seq]
[command.yes]
[command.boom]
[profile.dev]
tools = ["shell_execute"]
commands = ["echo", "cat", "sleep", "seq", "yes", "boom"]
roots = { work = "rw" }
[profile.none]
tools = ["kasm:read"]
roots = { work = "ro" }
"#;

/// A policy with these tables in place of alice's key.
pub(super) fn policy(tables: &str) -> Policy {
    testing::policy(&format!("{FRAME}{tables}{}", digest_of_bob()))
}

/// The caller that shows this key from this host.
pub(super) fn caller(policy: &Policy, key: &str) -> Caller {
    let address = [127, 0, 0, 1].into();
    let identified = policy.access().identify(Some(&Secret::new(key)), address, false, SystemTime::now());
    Caller { principal: identified.unwrap(), key: None, address, request_id: "ab12".into(), trace: None }
}

/// Alice's own table.
pub(super) fn alice() -> String {
    format!("[key.alice]\nsha256 = \"{}\"\nprofile = \"dev\"\n", digest("alice's key"))
}

/// The policy of [`House::new`] with a certificate in PEM and its key.
pub(super) fn policy_with_tls(certificate: &Path, key: &Path) -> Policy {
    let tls = format!("[server]\ntls = {{ certificate = {certificate:?}, key = {key:?} }}\n");
    testing::policy(&format!("{}{}", FRAME.replace("[server]\n", &tls), digest_of_bob()))
}

fn digest_of_bob() -> String {
    format!("\n[key.bob]\nsha256 = \"{}\"\nprofile = \"none\"\n", digest("bob's key"))
}

/// What a policy holds in place of a key.
pub(super) fn digest(key: &str) -> String {
    crate::vocab::hex(&Secret::new(key).sha256())
}

/// A request to `/mcp`, to be finished.
pub(super) fn post() -> http::request::Builder {
    Request::post("/mcp").header(header::HOST, "localhost").header(header::CONTENT_TYPE, "application/json")
}

/// A message of the newer era.
pub(super) fn modern(key: &str, method: &str, mut params: Value) -> Request<Body> {
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
    meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "test", "version": "0"});
    let mut request = post()
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header("mcp-protocol-version", MODERN)
        .header("mcp-method", method);
    if let Some(name) = params["name"].as_str() {
        request = request.header("mcp-name", name);
    }
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    request.body(Body::from(message.to_string())).unwrap()
}

/// A message of the older era.
pub(super) fn legacy(key: &str, session: Option<&str>, message: &Value) -> Request<Body> {
    let mut request = post().header("x-api-key", key);
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    request.body(Body::from(message.to_string())).unwrap()
}

/// The request that opens a session.
pub(super) fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"},
    }})
}

/// Alice's session of the older era, open for requests.
pub(super) async fn open_session(house: &House) -> String {
    let opened = house.send(legacy("alice's key", None, &initialize())).await;
    let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let _ = answer(opened).await;
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(house.send(legacy("alice's key", Some(&id), &ready)).await.status(), 202);
    id
}

/// Every message of a stream, the answer last.
pub(super) async fn messages(response: Response) -> Vec<Value> {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    data.filter(|data| !data.is_empty()).map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// Status and body; a stream's last event, or text as a JSON string where it is neither.
pub(super) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let event =
        text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).rfind(|d| !d.is_empty());
    let json = serde_json::from_str(event.unwrap_or(&text)).unwrap_or_else(|_| Value::from(text.clone()));
    (status, json)
}
