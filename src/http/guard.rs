//! Host and Origin: whether a request was meant for kernos, and whether a web page made it.
//!
//! A page in the operator's browser can send requests to any address that the browser reaches, and with DNS
//! rebinding even read the answers; these two headers are what gives it away (MCP specification, Security).

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};

/// Why a request is turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stranger {
    /// It has no Host, several, or one that is no host.
    #[error("the Host header is missing, malformed, or there twice")]
    NoHost,
    /// It was meant for somebody else.
    #[error("this host is not known by the name `{0}`: add it to `hosts` under [server]")]
    Host(String),
    /// A web page made it.
    #[error("web pages of `{0}` may not call: add it to `origins` under [server]")]
    Origin(String),
}

impl Stranger {
    /// RFC 9112, 3.2: without one Host a request is malformed.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::Host(_) | Self::Origin(_) => StatusCode::FORBIDDEN,
        }
    }

    /// As a word for the record.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoHost | Self::Host(_) => "host",
            Self::Origin(_) => "origin",
        }
    }
}

/// Who may be called, and by which pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard<'g> {
    /// Names besides loopback, as the policy keeps them: in lower case, without ports.
    pub hosts: &'g [String],
    /// Pages.
    pub origins: &'g [String],
    /// The addresses that are listened on.
    pub listening: &'g [SocketAddr],
}

impl Guard<'_> {
    /// Whether the request was meant for us, and made by no page or by one that may.
    pub(super) fn admits(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        self.admits_host(uri, headers)?;
        self.admits_origin(headers)
    }

    fn admits_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        let written = match uri.authority() {
            Some(authority) => authority.as_str(),
            None => single(headers, &header::HOST).ok_or(Stranger::NoHost)?,
        };
        let name = host(written).ok_or(Stranger::NoHost)?;
        let is_loopback = name == "localhost" || address(&name).is_some_and(|ip| ip.is_loopback());
        let is_ours = || {
            address(&name)
                .is_some_and(|ip| self.listening.iter().any(|one| one.ip() == ip && !ip.is_unspecified()))
        };
        if is_loopback || is_ours() || self.hosts.contains(&name) {
            Ok(())
        } else {
            Err(Stranger::Host(shown(&name)))
        }
    }

    fn admits_origin(&self, headers: &HeaderMap) -> Result<(), Stranger> {
        if !headers.contains_key(header::ORIGIN) {
            return Ok(());
        }
        let origin = single(headers, &header::ORIGIN).unwrap_or("null");
        let same = |listed: &String| listed.eq_ignore_ascii_case(origin);
        if self.origins.iter().any(same) { Ok(()) } else { Err(Stranger::Origin(shown(origin))) }
    }
}

/// The answer to a page's question whether it may ask (Fetch standard, CORS preflight).
pub(super) fn preflight<B: Default>(method: &Method, headers: &HeaderMap) -> Option<Response<B>> {
    let asks = *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    asks.then(|| {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let mut say = |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        say(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE");
        say(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, accept, x-api-key, mcp-session-id, mcp-protocol-version, mcp-method, \
             mcp-name, last-event-id, traceparent",
        );
        say(header::ACCESS_CONTROL_MAX_AGE, "600");
        response
    })
}

/// Lets the page that asked read the answer. It has been admitted.
pub(super) fn allow_origin<B>(origin: HeaderValue, response: &mut Response<B>) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("mcp-session-id, x-request-id, www-authenticate"),
    );
}

/// The value of a header that is there once.
fn single<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The host of `host:port`, in lower case, without brackets or a final dot.
fn host(authority: &str) -> Option<String> {
    let authority: http::uri::Authority = authority.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

fn address(host: &str) -> Option<IpAddr> {
    host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn shown(text: &str) -> String {
    crate::vocab::escaped(text).chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(host: Option<&str>, origin: Option<&str>) -> Result<(), Stranger> {
        let guard = Guard {
            hosts: &["caliban.incus".to_owned(), "fd00::7".to_owned()],
            origins: &["https://app.example.com".to_owned()],
            listening: &["10.1.2.3:22021".parse().unwrap(), "0.0.0.0:1".parse().unwrap()],
        };
        let mut headers = HeaderMap::new();
        headers.extend(host.map(|host| (header::HOST, host.parse().unwrap())));
        headers.extend(origin.map(|origin| (header::ORIGIN, origin.parse().unwrap())));
        guard.admits(&Uri::from_static("/mcp"), &headers)
    }

    #[test]
    fn loopback_our_own_address_and_listed_names_are_us() {
        for host in [
            "localhost:22021",
            "LOCALHOST.",
            "127.0.0.1",
            "127.8.8.8:1",
            "[::1]:22021",
            "10.1.2.3:22021",
            "Caliban.Incus:443",
            "[fd00::7]:1",
        ] {
            assert_eq!(admits(Some(host), None), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for host in
            ["evil.example", "0.0.0.0:22021", "10.1.2.4", "caliban.incus.evil.example", "localhost.evil"]
        {
            assert!(matches!(admits(Some(host), None), Err(Stranger::Host(_))), "{host}");
        }
        for host in [None, Some(""), Some("a b"), Some("x@localhost")] {
            assert_eq!(admits(host, None), Err(Stranger::NoHost), "{host:?}");
        }
    }

    #[test]
    fn only_listed_pages_may_call() {
        assert_eq!(admits(Some("localhost"), Some("https://app.example.com")), Ok(()));
        for origin in
            ["null", "http://localhost:3000", "http://app.example.com", "https://app.example.com.evil"]
        {
            assert_eq!(admits(Some("localhost"), Some(origin)), Err(Stranger::Origin(origin.to_owned())));
        }
    }
}
