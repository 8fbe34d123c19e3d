//! Values of a policy file that stand for somebody on a network.

use std::net::SocketAddr;

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
            text.parse().map_err(|_| format!("`{text}` is not an IP address with a port").into())
        })
    }
}
