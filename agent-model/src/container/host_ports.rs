//! The device's ports, each of which only one container can have.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{PortMapping, TransportProtocol};

/// Ports of the device, and who has each.
#[derive(Debug)]
pub(crate) struct HostPorts<T>(BTreeMap<(u16, TransportProtocol), BTreeMap<Option<IpAddr>, T>>);

impl<T> Default for HostPorts<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> HostPorts<T> {
    /// Takes a port. Who already has it at an address that both would have, if anybody does; then it stays theirs.
    pub(crate) fn take(&mut self, port: &PortMapping, by: T) -> Option<&T> {
        let at = self.0.entry((port.host, port.protocol)).or_default();
        let ip = port.host_ip.map(|ip| ip.to_canonical());
        let taken_as = conflicting(at, ip);
        if taken_as.is_none() {
            at.insert(ip, by);
        }
        taken_as.and_then(|taken_as| at.get(&taken_as))
    }
}

/// At which address somebody has the port so that it cannot be had at `ip` too. Both families of addresses are apart, as
/// runtimes open a socket for each.
fn conflicting<T>(taken: &BTreeMap<Option<IpAddr>, T>, ip: Option<IpAddr>) -> Option<Option<IpAddr>> {
    let (any, last) = match ip {
        None => return taken.keys().next().copied(),
        Some(IpAddr::V4(_)) => (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::BROADCAST)),
        Some(IpAddr::V6(_)) => (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from([u16::MAX; 8])),
    };
    if let Some(taken) = [None, Some(any), ip].into_iter().find(|ip| taken.contains_key(ip)) {
        return Some(taken);
    }
    (ip == Some(any)).then(|| taken.range(Some(any)..=Some(last)).next()).flatten().map(|(ip, _)| *ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cannot_have_the_same_port_of_the_same_protocol_at_an_address_of_both() {
        use TransportProtocol::{Tcp, Udp};
        let port = |host, protocol, ip: &str| PortMapping {
            host,
            container: 80,
            protocol,
            host_ip: (!ip.is_empty()).then(|| ip.parse().unwrap()),
        };
        for (one, two, conflict) in [
            (port(80, Tcp, ""), port(80, Tcp, ""), true),
            (port(80, Tcp, ""), port(80, Tcp, "::1"), true),
            (port(80, Tcp, ""), port(80, Tcp, "0.0.0.0"), true),
            (port(80, Tcp, "10.0.0.1"), port(80, Tcp, "10.0.0.1"), true),
            (port(80, Tcp, "0.0.0.0"), port(80, Tcp, "127.0.0.1"), true),
            (port(80, Tcp, "::"), port(80, Tcp, "2001:db8::1"), true),
            (port(80, Tcp, "::ffff:10.0.0.1"), port(80, Tcp, "10.0.0.1"), true),
            (port(80, Tcp, "0.0.0.0"), port(80, Tcp, "::"), false),
            (port(80, Tcp, "0.0.0.0"), port(80, Tcp, "::1"), false),
            (port(80, Tcp, "127.0.0.1"), port(80, Tcp, "10.0.0.1"), false),
            (port(80, Tcp, ""), port(80, Udp, ""), false),
            (port(80, Tcp, ""), port(81, Tcp, ""), false),
        ] {
            for (first, second) in [(&one, &two), (&two, &one)] {
                let mut ports = HostPorts::default();
                assert_eq!(ports.take(first, 1), None);
                assert_eq!(ports.take(second, 2), conflict.then_some(&1), "{first} and {second}");
            }
        }
        assert_eq!(port(80, Tcp, "::1").to_string(), "[::1]:80/Tcp");
    }
}
