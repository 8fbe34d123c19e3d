//! Who is at the other end: the peer, or who a proxy that is believed says it is.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Headers that a proxy adds. Their presence alone shows that the peer is not where the request began.
const TRACES: [&str; 5] = ["x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via"];

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Whether somebody passed the request on.
    pub forwarded: bool,
}

impl Client {
    /// The last hop that is not one of ours. `X-Forwarded-For` is believed only as far as `proxies` wrote it:
    /// what stands left of the first stranger was written by the stranger.
    pub(super) fn of(peer: SocketAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let trusted = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
        let peer = peer.ip().to_canonical();
        let forwarded = TRACES.iter().any(|name| headers.contains_key(*name));
        let mut address = peer;
        for hop in hops(headers) {
            if !trusted(&address) {
                break;
            }
            match hop {
                Some(hop) => address = hop,
                None => break,
            }
        }
        Self { address, forwarded }
    }
}

/// The addresses in `X-Forwarded-For`, the nearest first; none for what is not an address.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?")).collect();
    values.into_iter().rev().flat_map(|value| value.rsplit(',')).map(|hop| {
        let hop = hop.trim();
        let with_port = || hop.parse::<SocketAddr>().map(|address| address.ip());
        hop.trim_matches(['[', ']']).parse().or_else(|_| with_port()).ok().map(|ip: IpAddr| ip.to_canonical())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded_for: &[&str]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for value in forwarded_for {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let client = Client::of(peer.parse().unwrap(), &headers, &proxies);
        (client.address.to_string(), client.forwarded)
    }

    #[test]
    fn a_peer_that_is_no_proxy_is_the_client_whatever_it_says() {
        assert_eq!(client("192.0.2.1:5", &[]), ("192.0.2.1".to_owned(), false));
        assert_eq!(client("192.0.2.1:5", &["127.0.0.1"]), ("192.0.2.1".to_owned(), true));
        assert_eq!(client("[::ffff:192.0.2.1]:5", &[]), ("192.0.2.1".to_owned(), false));
    }

    #[test]
    fn behind_proxies_it_is_the_rightmost_stranger() {
        assert_eq!(client("10.0.0.1:5", &["198.51.100.7"]).0, "198.51.100.7");
        assert_eq!(client("10.0.0.1:5", &["127.0.0.1, 198.51.100.7, 10.9.9.9"]).0, "198.51.100.7");
        assert_eq!(client("10.0.0.1:5", &["127.0.0.1", "198.51.100.7:1234"]).0, "198.51.100.7");
        assert_eq!(client("[::1]:5", &["[2001:db8::7]"]).0, "2001:db8::7");
    }

    #[test]
    fn a_hop_that_is_no_address_ends_what_is_believed() {
        assert_eq!(client("10.0.0.1:5", &["198.51.100.7, unknown"]).0, "10.0.0.1");
    }
}
