//! As much of HTTP/1.1 as a call needs: one POST at a time over a connection that stays open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A connection to one server.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    path: String,
}

/// An answer, its body undone of chunks.
pub struct Response {
    pub status: u16,
    pub session: Option<String>,
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects to `http://HOST:PORT/PATH`.
    pub fn open(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or("only http:// is spoken")?;
        let (host, path) = rest.split_once('/').ok_or("a URL with a path is needed")?;
        let stream = TcpStream::connect(host).map_err(|error| format!("{host}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream: BufReader::new(stream), host: host.to_owned(), path: format!("/{path}") })
    }

    /// Sends a body with these headers and reads the whole answer.
    pub fn post(&mut self, headers: &str, body: &str) -> Result<Response, String> {
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.path,
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        self.read().map_err(|error| error.to_string())
    }

    fn read(&mut self) -> std::io::Result<Response> {
        let status = self.line()?.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let (mut length, mut chunked, mut session) = (0, false, None);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "transfer-encoding" => chunked = value == "chunked",
                "mcp-session-id" => session = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = Vec::with_capacity(length);
        if chunked {
            while self.chunk(&mut body)? {}
        } else {
            self.take(length, &mut body)?;
        }
        Ok(Response { status, session, body })
    }

    /// Reads one chunk; the empty one is the last.
    fn chunk(&mut self, body: &mut Vec<u8>) -> std::io::Result<bool> {
        let line = self.line()?;
        let length = usize::from_str_radix(&line, 16).map_err(std::io::Error::other)?;
        self.take(length, body)?;
        self.line()?;
        Ok(length > 0)
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> std::io::Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..])
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}
