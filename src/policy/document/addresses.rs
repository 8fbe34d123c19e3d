//! Values of a policy file that stand for somebody on a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;

use super::Field;
use super::values::{FromValue, Wrong, text};

impl FromValue for IpNet {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "a network or an address", "\"10.10.0.0/16\"", |text| {
            let network = text.parse().or_else(|_| text.parse().map(std::net::IpAddr::into));
            let network: Self =
                network.map_err(|_: std::net::AddrParseError| format!("`{text}` is neither"))?;
            if let Some(plain) = mapped(network) {
                // Clients are known by their plain addresses: this one would let in nobody.
                let why = format!("`{network}` is one of IPv4, mapped into IPv6");
                return Err(Wrong::new(why, format!("write \"{plain}\"")));
            }
            if network != network.trunc() {
                // Taken for the network, it would let in millions where one was meant.
                let (whole, one) = (network.trunc(), network.addr());
                let remedy = format!("write \"{whole}\" for the network, or \"{one}\" for the one address");
                return Err(Wrong::new(format!("`{network}` could be either"), remedy));
            }
            Ok(network)
        })
    }
}

/// The network of IPv4 that is mapped into IPv6 so (RFC 4291, section 2.5.5.2).
fn mapped(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(network) = network else { return None };
    let prefix = network.prefix_len().checked_sub(96)?;
    IpNet::new(network.addr().to_ipv4_mapped()?.into(), prefix).ok()
}

impl FromValue for SocketAddr {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "an address and a port", "\"127.0.0.1:22021\"", |text| {
            text.parse().map_err(|_| {
                let why = format!("`{text}` is not an IP address with a port");
                meant(text).map_or(why.clone().into(), |meant| Wrong::new(why, format!("write \"{meant}\"")))
            })
        })
    }
}

/// The port of kernos where none is said.
const PORT: u16 = 22021;

/// What somebody may have meant who left something out.
fn meant(text: &str) -> Option<SocketAddr> {
    if let Some((host, port)) = text.rsplit_once(':')
        && let Ok(port) = port.parse()
    {
        let local = (host == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let without_brackets = || host.parse::<Ipv6Addr>().ok().map(IpAddr::from);
        if let Some(address) = local.or_else(without_brackets) {
            return Some(SocketAddr::new(address, port));
        }
    }
    text.parse().ok().map(|address| SocketAddr::new(address, PORT))
}

/// The host of a `Host` header, as [`host`] gives it.
pub(in crate::policy) struct HostName(pub(in crate::policy) String);

impl FromValue for HostName {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "the name or the address of a host", "\"kernos.example.com\"", |text| {
            let behind_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
            let authority = behind_scheme.split('/').next().unwrap_or_default();
            match host(authority) {
                Some(host) if authority == text => Ok(Self(host)),
                Some(host) => {
                    Err(Wrong::new(format!("`{text}` is more than that"), format!("write \"{host}\"")))
                }
                None => Err(unlike(text, "one")),
            }
        })
    }
}

/// Where a web page comes from, as browsers write it in `Origin` (RFC 6454, section 6.2).
pub(in crate::policy) struct WebOrigin(pub(in crate::policy) String);

/// Ports that browsers leave out.
const USUAL_PORTS: [(&str, u16); 2] = [("https", 443), ("http", 80)];

impl FromValue for WebOrigin {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(
            value,
            field,
            "an origin, scheme://host or scheme://host:port",
            "\"https://app.example.com\"",
            |text| {
                match origin(text) {
                    Some(origin) if text.trim_end_matches('/').eq_ignore_ascii_case(&origin) => {
                        Ok(Self(origin))
                    }
                    Some(origin) => {
                        let why = format!("no browser sends `{text}`");
                        Err(Wrong::new(why, format!("write \"{origin}\"")))
                    }
                    // Pages in a sandbox call themselves so, and files: they could be anybody's.
                    None if text != "null" && host(text).is_some() => Err(Wrong::new(
                        format!("`{text}` has no scheme"),
                        format!("write \"https://{text}\""),
                    )),
                    None => Err(unlike(text, "one")),
                }
            },
        )
    }
}

fn origin(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = Some(scheme.to_ascii_lowercase()).filter(|scheme| is_scheme(scheme))?;
    let authority = rest.split('/').next().unwrap_or_default();
    let host = host(authority)?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = port(authority).filter(|port| !USUAL_PORTS.contains(&(scheme.as_str(), *port)));
    Some(port.map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}")))
}

fn unlike(text: &str, expected: &str) -> Wrong {
    match text {
        _ if text.trim().is_empty() => "it is empty".into(),
        _ if text.contains('*') => {
            Wrong::new(format!("`{text}` is a pattern"), "list each one that is meant")
        }
        _ => format!("`{text}` is not {expected}").into(),
    }
}

/// The host of `host` or `host:port`, in lower case, without brackets or a final dot.
fn host(authority: &str) -> Option<String> {
    let bare = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            let address = address.parse::<Ipv6Addr>().ok()?;
            return (rest.is_empty() || port(authority).is_some()).then(|| address.to_string());
        }
        None if authority.parse::<IpAddr>().is_ok() => authority,
        None if port(authority).is_some() => authority.rsplit_once(':')?.0,
        None => authority,
    };
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let name = bare.strip_suffix('.').unwrap_or(bare);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    // RFC 1035, section 2.3.4.
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

fn port(authority: &str) -> Option<u16> {
    let (host, port) = authority.rsplit_once(':')?;
    (!host.contains(':') || host.ends_with(']')).then(|| port.parse().ok())?
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}
