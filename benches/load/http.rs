//! As much of HTTP/1.1 as a call needs: requests over a connection that stays open, and their answers in order.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A connection to one path of one server.
pub struct Connection {
    pub stream: BufReader<TcpStream>,
    host: String,
    path: String,
}

/// An answer, its body undone of chunks.
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Connection {
    /// Speaks to `http://HOST:PORT/PATH` over a stream that its host has accepted.
    pub fn over(stream: TcpStream, url: &str) -> Result<Self, String> {
        let (host, path) = parts(url)?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream: BufReader::new(stream), host: host.to_owned(), path: format!("/{path}") })
    }

    /// Sends a request and does not wait for its answer.
    pub fn send(&mut self, method: &str, headers: &str, body: &str) -> std::io::Result<()> {
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.path,
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// Reads the next answer.
    pub fn read(&mut self) -> std::io::Result<Response> {
        let status = self.line()?.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut response = Response { status, headers: Vec::new(), body: Vec::new() };
        while let Some((name, value)) = self.line()?.split_once(": ") {
            response.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        if response.header("transfer-encoding") == Some("chunked") {
            while self.chunk(&mut response.body)? {}
        } else {
            let length =
                response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            self.take(length, &mut response.body)?;
        }
        Ok(response)
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

impl Response {
    /// A header by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }
}

/// Host and path of a URL.
pub fn parts(url: &str) -> Result<(&str, &str), String> {
    let rest = url.strip_prefix("http://").ok_or("only http:// is spoken")?;
    rest.split_once('/').ok_or_else(|| "a URL with a path is needed".to_owned())
}
