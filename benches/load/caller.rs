//! A caller of an MCP server.

use std::net::TcpStream;
use std::str::FromStr;

use serde_json::{Value, json};

use super::Settings;
use super::http::{Connection, Response, parts};

/// How the protocol is spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28: each request for itself.
    Modern,
    /// 2025-11-25 with a session.
    Legacy,
    /// 2025-11-25 with a server that keeps no sessions.
    Stateless,
}

impl FromStr for Era {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "modern" => Ok(Self::Modern),
            "legacy" => Ok(Self::Legacy),
            "stateless" => Ok(Self::Stateless),
            _ => Err(format!("no era {text:?}")),
        }
    }
}

/// Opens a connection, and gives what makes one call over it.
pub fn call(settings: &Settings) -> Result<impl FnMut() -> Result<usize, String> + use<>, String> {
    let mut connection = connect(&settings.url)?;
    let (method, tool, parameters) = request(&settings.argv);
    let message = message(settings.era, method, parameters);
    let mut headers =
        settings.key.as_ref().map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    match settings.era {
        Era::Modern => {
            headers.push_str("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: ");
            headers.push_str(method);
            headers.push_str(tool);
            headers.push_str("\r\n");
        }
        Era::Stateless => headers.push_str("MCP-Protocol-Version: 2025-11-25\r\n"),
        Era::Legacy => {
            let session = open_session(&mut connection, &headers)?;
            headers = format!("{headers}MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {session}\r\n");
        }
    }
    Ok(move || judge(&post(&mut connection, &headers, &message)?))
}

/// The method, the header that names the tool, and the parameters.
fn request(argv: &[String]) -> (&'static str, &'static str, Value) {
    if argv.is_empty() {
        ("tools/list", "", json!({}))
    } else {
        let parameters = json!({ "name": "shell_execute", "arguments": { "command": argv } });
        ("tools/call", "\r\nMcp-Name: shell_execute", parameters)
    }
}

fn message(era: Era, method: &str, mut parameters: Value) -> String {
    if era == Era::Modern {
        parameters["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
    }
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters }).to_string()
}

fn connect(url: &str) -> Result<Connection, String> {
    let (host, _) = parts(url)?;
    let stream = TcpStream::connect(host).map_err(|error| format!("{host}: {error}"))?;
    Connection::over(stream, url)
}

/// Sends a body with these headers and reads the whole answer.
fn post(connection: &mut Connection, headers: &str, body: &str) -> Result<Response, String> {
    let answered = connection.send("POST", headers, body).and_then(|()| connection.read());
    answered.map_err(|error| error.to_string())
}

fn open_session(connection: &mut Connection, headers: &str) -> Result<String, String> {
    let hello = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": { "name": "load", "version": "1" },
    });
    let opened = post(connection, headers, &message(Era::Legacy, "initialize", hello))?;
    let session = opened.header("mcp-session-id").map(str::to_owned);
    let session = session.ok_or_else(|| format!("no session: status {}", opened.status))?;
    let headers = format!("{headers}Mcp-Session-Id: {session}\r\n");
    post(connection, &headers, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
    Ok(session)
}

/// An answer counts only when it is one: a refusal is fast, and would look like speed.
fn judge(response: &Response) -> Result<usize, String> {
    let body = String::from_utf8_lossy(&response.body);
    // `"error":"` is how the incumbent says that a command failed, in a result that claims success.
    let marks = ["\"isError\":true", "\"error\":\""];
    let failed = marks.iter().any(|mark| body.contains(mark)) || !body.contains("\"result\"");
    if response.status == 200 && !failed {
        Ok(response.body.len())
    } else {
        Err(format!("status {}: {:.300}", response.status, body))
    }
}
