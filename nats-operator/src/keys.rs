//! The keys that an operator keeps.

use nkeys::KeyPairType;

/// A key in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// Signs the accounts; whoever has it is the operator.
    Operator,
    /// The account that looks after the servers.
    System,
    /// The account that owns the streams.
    Platform,
    /// The account that the devices are in.
    Devices,
    /// The account of those who ask to become devices.
    Enroll,
    /// Signs the users of the devices' account, who may then do what its scope says.
    DeviceUsers,
}

impl Key {
    pub(crate) const ALL: [Self; 6] =
        [Self::Operator, Self::System, Self::Platform, Self::Devices, Self::Enroll, Self::DeviceUsers];

    /// The name of its file.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Operator => "operator.nk",
            Self::System => "system.nk",
            Self::Platform => "platform.nk",
            Self::Devices => "devices.nk",
            Self::Enroll => "enroll.nk",
            Self::DeviceUsers => "device-users.nk",
        }
    }

    pub(crate) fn kind(self) -> KeyPairType {
        match self {
            Self::Operator => KeyPairType::Operator,
            _ => KeyPairType::Account,
        }
    }
}
