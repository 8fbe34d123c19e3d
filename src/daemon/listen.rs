//! The listening sockets: bound here, or passed by systemd. It is done before the privileges are dropped.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use super::exit::Error;
use crate::policy::{Access, Listen};

/// As many as can be connected at once, and what the kernel allows by default (`net.core.somaxconn`). The standard
/// library asks for 128, which a burst of connections fills; whoever comes then tries again after a second.
const BACKLOG: i32 = 4096;

/// Opens what the policy says, or in its place what the command line says.
pub fn open(policy: &[Listen], asked: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    if !asked.is_empty() {
        return bind(asked);
    }
    let addresses: Vec<SocketAddr> = policy.iter().filter_map(address).collect();
    let mut listeners = bind(&addresses)?;
    if policy.contains(&Listen::Systemd) {
        listeners.extend(passed()?);
    }
    Ok(listeners)
}

/// The addresses of the command line take the place of the policy's, so what it says of open access is asked again.
pub fn permitted(access: &Access, asked: &[SocketAddr]) -> Result<(), Error> {
    let refused = |address: &&SocketAddr| access.is_open() && !access.is_open_at(Listen::Address(**address));
    match asked.iter().find(refused) {
        Some(address) => Err(Error::OpenAccess { address: *address }),
        None => Ok(()),
    }
}

fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let bound = |address: &SocketAddr| {
        let failed = |source| Error::Listen { address: address.to_string(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
        Ok(listener)
    };
    addresses.iter().map(bound).collect()
}

/// Takes the sockets that systemd passed (`sd_listen_fds(3)`).
fn passed() -> Result<Vec<TcpListener>, Error> {
    let mut descriptors = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..descriptors.len() {
        let failed = |source| Error::Listen { address: format!("the passed socket {index}"), source };
        listeners.extend(descriptors.take_tcp_listener(index).map_err(failed)?);
    }
    if listeners.is_empty() { Err(Error::NoSocket) } else { Ok(listeners) }
}

fn address(listen: &Listen) -> Option<SocketAddr> {
    match listen {
        Listen::Address(address) => Some(*address),
        Listen::Systemd => None,
    }
}

/// Where they listen, a port that was chosen by the kernel included.
pub fn addresses(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, Error> {
    let addresses: io::Result<_> = listeners.iter().map(TcpListener::local_addr).collect();
    addresses.map_err(|source| Error::System { doing: "ask where a socket listens", source })
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn port_0_becomes_a_real_port() {
        let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        assert_ne!(addresses(&listeners).unwrap()[0].port(), 0);
    }

    #[test]
    fn a_burst_of_connections_waits_to_be_accepted() {
        let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = addresses(&listeners).unwrap()[0];
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(900));
        let connected: io::Result<Vec<_>> = (0..300).map(connect).collect();
        assert_eq!(connected.unwrap().len(), 300);
    }

    #[test]
    fn a_taken_port_is_named() {
        let first = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let taken = addresses(&first).unwrap();
        let error = bind(&taken).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on {}: another program", taken[0])));
    }
}
