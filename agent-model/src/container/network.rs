//! The network of a container.

use std::{fmt, net::IpAddr, str::FromStr};

use super::name::is_name;

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

impl Network {
    /// The network as documents write it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Bridge => "Bridge",
            Self::Host => "Host",
            Self::None => "None",
            Self::Named(name) => name.as_str(),
        }
    }

    /// Whether ports of the device can lead into it.
    pub(super) fn publishes(&self) -> bool {
        matches!(self, Self::Bridge | Self::Named(_))
    }
}

impl FromStr for Network {
    type Err = InvalidNetworkName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Bridge" => Ok(Self::Bridge),
            "Host" => Ok(Self::Host),
            "None" => Ok(Self::None),
            name => name.parse().map(Self::Named),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What runtimes take for something else than the name of a network, in whatever case; for those that are one of
/// ours, how they are written here.
const RESERVED: [(&str, Option<&str>); 8] = [
    ("bridge", Some("Bridge")),
    ("container", None),
    ("default", None),
    ("host", Some("Host")),
    ("none", Some("None")),
    ("pasta", None),
    ("private", None),
    ("slirp4netns", None),
];

/// A network's name, in the alphabet of volumes; none that stands for something else (`bridge`, `host`, `none`,
/// `container:…`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

/// Why a text is no name of a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no network: {}", expected(meant))]
pub struct InvalidNetworkName {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
    /// What was most likely meant.
    pub meant: Option<&'static str>,
}

fn expected(meant: &Option<&'static str>) -> String {
    match meant {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => "use Bridge, Host, None or the name of one of the runtime's networks".to_owned(),
    }
}

impl NetworkName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetworkName {
    type Err = InvalidNetworkName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reserved = RESERVED.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
        if reserved.is_none() && is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        let meant = reserved.and_then(|(_, meant)| *meant);
        Err(InvalidNetworkName { given: text.chars().take(80).collect(), meant })
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
    /// The device's port; never 0.
    pub host: u16,
    /// The container's; never 0.
    pub container: u16,
    /// What is spoken at it.
    pub protocol: TransportProtocol,
    /// The device's address; all of them when `None`.
    pub host_ip: Option<IpAddr>,
}

/// The device's side, as people write it: `8080/Tcp`, `127.0.0.1:8080/Tcp`.
impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(ip) => write!(f, "{}", std::net::SocketAddr::new(ip, self.host))?,
            None => write!(f, "{}", self.host)?,
        }
        write!(f, "/{}", self.protocol.as_str())
    }
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

impl TransportProtocol {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// The protocol as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "Tcp",
            Self::Udp => "Udp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_the_runtime_is_not_called_like_what_stands_for_another() {
        for text in ["Bridge", "Host", "None", "iot", "my-net_1.0"] {
            assert_eq!(text.parse::<Network>().unwrap().as_str(), text);
        }
        for (text, told) in [
            ("host", "did you mean \"Host\"?"),
            ("BRIDGE", "did you mean \"Bridge\"?"),
            ("none", "did you mean \"None\"?"),
            ("default", "use Bridge, Host, None"),
            ("slirp4netns", "use Bridge, Host, None"),
            ("container:web", "use Bridge, Host, None"),
            ("ns:/proc/1/ns/net", "use Bridge, Host, None"),
            ("-x", "use Bridge, Host, None"),
            ("", "use Bridge, Host, None"),
        ] {
            let problem = text.parse::<Network>().unwrap_err().to_string();
            assert!(problem.contains(told), "{problem}");
        }
    }
}
