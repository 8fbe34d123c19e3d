//! A small MCP client that speaks both eras of the protocol, and lets a test see every header.
//!
//! Not a client to copy: it takes what a well-behaved server sends and fails loudly at anything else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::processes::PATIENCE;

/// The revision without sessions.
pub const MODERN: &str = "2026-07-28";
/// The last revision with them.
pub const LEGACY: &str = "2025-11-25";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads can be started"));

/// Which revision is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// A POST a request, closed to cancel it.
    Modern,
    /// `initialize`, a session, cancelled by a notification.
    Legacy,
}

/// Both, for tests that hold in each.
pub const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];

/// One agent.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    era: Era,
    headers: HeaderMap,
    /// The session, in the legacy era.
    pub session: Option<String>,
    next: AtomicU64,
}

/// A whole HTTP answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or the one message of its event stream.
    pub body: String,
}

/// What a tool answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The protocol's `isError`.
    pub is_error: bool,
    /// The first block of text.
    pub text: String,
    /// `structuredContent`, null where there is none.
    pub structured: Value,
    /// The header `x-request-id`.
    pub request_id: String,
}

/// A request under way.
pub struct Pending {
    /// Its id in the protocol.
    pub id: u64,
    /// What comes on its event stream.
    pub heard: Heard,
    task: JoinHandle<reqwest::Result<Reply>>,
}

/// The messages of an event stream with the time of each, as they come.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<Vec<(Instant, Value)>>>);

impl Client {
    /// A client that presents its key as a bearer token, and in the legacy era has opened its session.
    pub fn connect(url: &str, era: Era, key: &str) -> Self {
        let mut client = Self::without_key(url, era).header("authorization", &format!("Bearer {key}"));
        if era == Era::Legacy {
            client.initialize();
        }
        client
    }

    /// A client that presents nothing, and has no session yet.
    pub fn without_key(url: &str, era: Era) -> Self {
        let (http, headers) = (http(None), HeaderMap::new());
        Self { http, url: url.to_owned(), era, headers, session: None, next: AtomicU64::new(1) }
    }

    /// Trusts this certificate, in PEM, and no other.
    pub fn trusting(mut self, certificate: &str) -> Self {
        self.http = http(Some(certificate));
        self
    }

    /// Sends this header with every request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        self.headers.insert(name, HeaderValue::from_str(value).expect("a header's value"));
        self
    }

    /// Opens a session, as the legacy era begins.
    pub fn initialize(&mut self) -> Reply {
        let parameters = json!({
            "protocolVersion": LEGACY,
            "capabilities": {},
            "clientInfo": { "name": "blackbox", "version": "1" },
        });
        let reply = self.request("initialize", parameters);
        if reply.status == StatusCode::OK {
            self.session = Some(reply.header("mcp-session-id"));
            self.notify("notifications/initialized", json!({}));
        }
        reply
    }

    /// Sends a request and waits for what comes back, whatever it is.
    pub fn request(&self, method: &str, parameters: Value) -> Reply {
        self.begin(method, parameters).finish().expect("the server answers")
    }

    /// Sends a request and does not wait.
    pub fn begin(&self, method: &str, mut parameters: Value) -> Pending {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if self.era == Era::Modern {
            let meta = &mut parameters["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "blackbox", "version": "1" });
        }
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters });
        let (heard, task) = listen(self.post(&message));
        Pending { id, heard, task }
    }

    /// Opens the stream of the session on which the server says what belongs to no request.
    pub fn listen(&self) -> Heard {
        let session = self.session.as_deref().expect("only a session has such a stream");
        let request = self.http.get(&self.url).headers(self.headers.clone());
        let request = request
            .header("accept", "text/event-stream")
            .header("mcp-protocol-version", LEGACY)
            .header("mcp-session-id", session);
        listen(request).0
    }

    /// Sends a notification, which has no answer.
    pub fn notify(&self, method: &str, parameters: Value) {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": parameters });
        let reply = send(self.post(&message));
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
    }

    /// The tools that this key sees.
    pub fn tools(&self) -> Vec<Value> {
        let result = self.request("tools/list", json!({})).result();
        result["tools"].as_array().expect("a list of tools").clone()
    }

    /// Calls a tool that answers.
    pub fn call(&self, tool: &str, arguments: Value) -> Answer {
        self.begin_call(tool, arguments).answer()
    }

    /// Calls a tool and does not wait.
    pub fn begin_call(&self, tool: &str, arguments: Value) -> Pending {
        self.begin("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Runs a command line.
    pub fn run(&self, words: &[&str]) -> Answer {
        self.begin_run(words).answer()
    }

    /// Runs a command line with something to read.
    pub fn feed(&self, words: &[&str], stdin: &str) -> Answer {
        self.call("shell_execute", json!({ "command": words, "stdin": stdin }))
    }

    /// Runs a command line with a deadline, in seconds.
    pub fn run_within(&self, seconds: u64, words: &[&str]) -> Answer {
        self.call("shell_execute", json!({ "command": words, "timeout": seconds }))
    }

    /// Starts a command line and does not wait.
    pub fn begin_run(&self, words: &[&str]) -> Pending {
        self.begin_call("shell_execute", json!({ "command": words }))
    }

    /// Starts a command line and asks to be told of its progress.
    pub fn begin_told(&self, words: &[&str], token: Value) -> Pending {
        let call = json!({
            "name": "shell_execute", "arguments": { "command": words }, "_meta": { "progressToken": token },
        });
        self.begin("tools/call", call)
    }

    /// Cancels a request in the way of the era.
    pub fn cancel(&self, pending: Pending) {
        match self.era {
            Era::Modern => pending.task.abort(),
            Era::Legacy => self.notify("notifications/cancelled", json!({ "requestId": pending.id })),
        }
    }

    fn post(&self, message: &Value) -> RequestBuilder {
        let mut request = self.http.post(&self.url).headers(self.headers.clone());
        request = request.header("accept", "application/json, text/event-stream").json(message);
        match (self.era, &self.session) {
            (Era::Modern, _) => {
                request = request
                    .header("mcp-protocol-version", MODERN)
                    .header("mcp-method", message["method"].as_str().expect("every message has a method"));
                match message["params"]["name"].as_str() {
                    Some(name) => request.header("mcp-name", name),
                    None => request,
                }
            }
            (Era::Legacy, Some(session)) => {
                request.header("mcp-protocol-version", LEGACY).header("mcp-session-id", session)
            }
            (Era::Legacy, None) => request,
        }
    }
}

impl Heard {
    /// So far.
    pub fn messages(&self) -> Vec<(Instant, Value)> {
        self.0.lock().expect("nobody panics while holding it").clone()
    }

    /// What was told of progress so far: the parameters of each notification.
    pub fn progress(&self) -> Vec<Value> {
        let mut messages = self.messages();
        messages.retain(|(_, message)| message["method"] == "notifications/progress");
        messages.into_iter().map(|(_, mut message)| message["params"].take()).collect()
    }

    fn add(&self, line: &str) {
        if let Some(data) = line.strip_prefix("data:").map(str::trim).filter(|data| !data.is_empty()) {
            let message = serde_json::from_str(data).expect("an event is a message");
            self.0.lock().expect("nobody panics while holding it").push((Instant::now(), message));
        }
    }
}

impl Pending {
    /// Waits for what comes back, or for the connection's end.
    pub fn finish(self) -> reqwest::Result<Reply> {
        RUNTIME.block_on(self.task).expect("a request is not aborted and waited for")
    }

    /// Waits for the tool's answer.
    pub fn answer(self) -> Answer {
        self.finish().expect("the server answers").answer()
    }
}

impl Reply {
    async fn read(mut response: reqwest::Response, heard: &Heard) -> reqwest::Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        let is_stream =
            headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if !is_stream {
            return Ok(Self { status, headers, body: response.text().await? });
        }
        let (mut text, mut read) = (Vec::new(), 0);
        while let Some(chunk) = response.chunk().await? {
            text.extend(chunk);
            while let Some(length) = text[read..].iter().position(|byte| *byte == b'\n') {
                heard.add(std::str::from_utf8(&text[read..read + length]).expect("UTF-8"));
                read += length + 1;
            }
        }
        // The answer comes after whatever was told on the way.
        let body = heard.messages().pop().map(|(_, message)| message.to_string()).unwrap_or_default();
        Ok(Self { status, headers, body })
    }

    /// A header that must be there.
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name} in {self:?}"));
        value.to_str().expect("an ASCII header").to_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The result of a request that succeeded.
    pub fn result(&self) -> Value {
        let message = self.json();
        assert_eq!((self.status, message.get("error")), (StatusCode::OK, None), "{self:?}");
        message["result"].clone()
    }

    /// The protocol's error: its code and its text.
    pub fn error(&self) -> (i64, String) {
        let error = &self.json()["error"];
        let code = error["code"].as_i64().unwrap_or_else(|| panic!("no error in {self:?}"));
        (code, error["message"].as_str().unwrap_or_default().to_owned())
    }

    /// The answer of a tool.
    pub fn answer(&self) -> Answer {
        let result = self.result();
        Answer {
            is_error: result["isError"].as_bool().unwrap_or(false),
            text: result["content"][0]["text"].as_str().unwrap_or_default().to_owned(),
            structured: result["structuredContent"].clone(),
            request_id: self.header("x-request-id"),
        }
    }
}

impl Answer {
    /// Standard output as text.
    pub fn stdout(&self) -> &str {
        self.member("stdout").as_str().expect("text")
    }

    /// Standard error as text.
    pub fn stderr(&self) -> &str {
        self.member("stderr").as_str().expect("text")
    }

    /// The shell's status.
    pub fn status(&self) -> i64 {
        self.member("status").as_i64().expect("a number")
    }

    /// How the line ended.
    pub fn ended(&self) -> &str {
        self.member("ended").as_str().expect("text")
    }

    /// A member of the structured content that must be there.
    pub fn member(&self, name: &str) -> &Value {
        self.structured.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// What a command that ran printed, with its status.
    pub fn printed(&self) -> (&str, i64) {
        assert!(!self.is_error, "{self:?}");
        (self.stdout(), self.status())
    }

    /// The text of an answer that must be a refusal or a failure.
    pub fn refusal(&self) -> &str {
        assert!(self.is_error, "this was to be refused: {self:?}");
        &self.text
    }
}

fn http(trusted: Option<&str>) -> reqwest::Client {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = trusted {
        roots
            .add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("it is PEM"))
            .expect("it can be read");
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for both")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE * 2)
        .tls_backend_preconfigured(tls)
        .build()
        .expect("no option is impossible")
}

/// A plain request without any of the protocol's headers.
pub fn plain(method: Method, url: &str, headers: &[(&str, &str)]) -> Reply {
    let client = Client::without_key(url, Era::Legacy);
    let request = client.http.request(method, url);
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
}

/// A message sent by hand, with these headers and no others of the protocol's.
pub fn plain_post(url: &str, headers: &[(&str, &str)], message: &Value) -> Reply {
    let client = Client::without_key(url, Era::Legacy);
    let request = client.http.post(url).json(message);
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
}

fn send(request: RequestBuilder) -> Reply {
    RUNTIME.block_on(listen(request).1).expect("a request does not panic").expect("the server answers")
}

fn listen(request: RequestBuilder) -> (Heard, JoinHandle<reqwest::Result<Reply>>) {
    let heard = Heard::default();
    let ear = heard.clone();
    (heard, RUNTIME.spawn(async move { Reply::read(request.send().await?, &ear).await }))
}
