//! What an agent says, in both eras of the protocol, and what it is told.
//!
//! The connection is the load generator's. Not a client of MCP: it sends what it is asked to, right or wrong.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Connection, Response};

/// How long an agent waits for whatever it asked: longer than anything here takes, shorter than a person would.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A message, with the headers of its era.
pub struct Message {
    pub headers: String,
    pub body: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub request_id: String,
    pub session: Option<String>,
    pub body: Vec<u8>,
}

/// Connects to a path of the daemon, and waits for it no longer than `patience`.
pub fn dial(daemon: SocketAddr, path: &str, patience: Duration) -> Result<Connection, String> {
    let stream = TcpStream::connect_timeout(&daemon, patience)
        .map_err(|error| format!("to connect: {}", said(&error)))?;
    stream.set_read_timeout(Some(patience)).map_err(|error| error.to_string())?;
    stream.set_write_timeout(Some(patience)).map_err(|error| error.to_string())?;
    Connection::over(stream, &format!("http://{daemon}{path}"))
}

/// What a GET of a path brings.
pub fn fetch(daemon: SocketAddr, path: &str) -> Result<Answer, String> {
    ask(&mut dial(daemon, path, PATIENCE)?, "GET", "", "")
}

/// Sends a message and waits for its answer.
pub fn tell(connection: &mut Connection, message: &Message) -> Result<Answer, String> {
    ask(connection, "POST", &message.headers, &message.body)
}

/// Sends a request and waits for its answer.
pub fn ask(connection: &mut Connection, method: &str, headers: &str, body: &str) -> Result<Answer, String> {
    connection.send(method, headers, body).map_err(|error| format!("to send: {}", said(&error)))?;
    hear(connection)
}

/// Waits for the next answer.
pub fn hear(connection: &mut Connection) -> Result<Answer, String> {
    connection.read().map(Answer::of).map_err(|error| format!("to be answered: {}", said(&error)))
}

/// A request of the newer era.
pub fn modern(key: &str, method: &str, mut parameters: Value) -> Message {
    parameters["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let name = parameters["name"].as_str().map_or_else(String::new, |name| format!("Mcp-Name: {name}\r\n"));
    let headers =
        format!("{}MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}", bearer(key));
    Message { headers, body: request(1, method, &parameters) }
}

/// A request of the older era, within a session.
pub fn legacy(key: &str, session: &str, id: u64, method: &str, parameters: &Value) -> Message {
    Message { headers: within(key, session), body: request(id, method, parameters) }
}

/// A notification of the older era.
pub fn notice(key: &str, session: &str, method: &str, parameters: &Value) -> Message {
    let body = json!({ "jsonrpc": "2.0", "method": method, "params": parameters }).to_string();
    Message { headers: within(key, session), body }
}

/// What opens a session.
pub fn hello(key: &str) -> Message {
    let parameters = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": { "name": "siege", "version": "1" },
    });
    Message { headers: bearer(key), body: request(0, "initialize", &parameters) }
}

/// Opens a session as it should be opened.
pub fn open_session(connection: &mut Connection, key: &str) -> Result<String, Answer> {
    let lost = |text: String| Answer::not(&text);
    let opened = tell(connection, &hello(key)).map_err(lost)?;
    let Some(session) = opened.session.clone() else { return Err(opened) };
    let said =
        tell(connection, &notice(key, &session, "notifications/initialized", &json!({}))).map_err(lost)?;
    if said.status == 202 { Ok(session) } else { Err(said) }
}

/// Ends a session.
pub fn close_session(connection: &mut Connection, key: &str, session: &str) -> Result<Answer, String> {
    ask(connection, "DELETE", &within(key, session), "")
}

/// The parameters of a call of `shell_execute`.
pub fn run(words: &[&str]) -> Value {
    json!({ "name": "shell_execute", "arguments": { "command": words } })
}

/// The headers of everything within a session.
pub fn within(key: &str, session: &str) -> String {
    format!("{}MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {session}\r\n", bearer(key))
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

fn request(id: u64, method: &str, parameters: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters }).to_string()
}

fn said(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "nothing in time".to_owned(),
        ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        _ => error.to_string(),
    }
}

impl Answer {
    fn of(response: Response) -> Self {
        let header = |name| response.header(name).map(str::to_owned);
        Self {
            status: response.status,
            request_id: header("x-request-id").unwrap_or_default(),
            session: header("mcp-session-id"),
            body: response.body,
        }
    }

    /// No answer, and why.
    fn not(text: &str) -> Self {
        Self { status: 0, request_id: String::new(), session: None, body: text.as_bytes().to_vec() }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The message in it: the body, or the last one of its event stream.
    pub fn message(&self) -> Value {
        let text = self.text();
        let mut data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
        let message = data.rfind(|data| !data.is_empty()).unwrap_or(&text);
        serde_json::from_str(message).unwrap_or(Value::Null)
    }

    /// Whether it is an answer in which nothing failed: a refusal is fast, and would look like speed.
    pub fn is_good(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        self.status == 200 && text.contains("\"result\"") && !text.contains("\"isError\":true")
    }

    /// The answer in a line, for whoever did not expect it.
    pub fn shown(&self) -> String {
        format!("status {} {:.300}", self.status, self.text())
    }
}
