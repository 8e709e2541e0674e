//! The network of a container.

use std::{fmt, net::IpAddr};

/// Which network a container is in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Network {
    /// The runtime's own bridge.
    #[default]
    Bridge,
    /// That of the device.
    Host,
    /// None but loopback.
    None,
    /// A network of the runtime by name, which must exist.
    Named(NetworkName),
}

/// A network's name, in the alphabet of volumes; none that stands for something else (`bridge`, `host`, `none`,
/// `container:…`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

/// Why a text is no name of a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no network: use Bridge, Host, None or the name of one of the runtime's networks")]
pub struct InvalidNetworkName {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl NetworkName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A port of the device that leads into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// The device's port.
    pub host: u16,
    /// The container's.
    pub container: u16,
    /// What is spoken at it.
    pub protocol: TransportProtocol,
    /// The device's address; all of them when `None`.
    pub host_ip: Option<IpAddr>,
}

/// What is spoken at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TransportProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}
