//! The accounts of a fleet.

use std::fmt;

use crate::keys::Key;

/// An account of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetAccount {
    /// Looks after the servers.
    System,
    /// Owns the streams.
    Platform,
    /// Has a user for each device.
    Devices,
    /// May ask to become a device.
    Enroll,
}

impl FleetAccount {
    /// In the order in which a server is told of them.
    pub const ALL: [Self; 4] = [Self::System, Self::Platform, Self::Devices, Self::Enroll];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "SYSTEM",
            Self::Platform => "PLATFORM",
            Self::Devices => "DEVICES",
            Self::Enroll => "ENROLL",
        }
    }

    pub(super) fn key(self) -> Key {
        match self {
            Self::System => Key::System,
            Self::Platform => Key::Platform,
            Self::Devices => Key::Devices,
            Self::Enroll => Key::Enroll,
        }
    }
}

impl fmt::Display for FleetAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
