//! The users that the folder has credentials of.

use std::{fmt, str::FromStr};

use super::FleetAccount;
use crate::{accounts, claims::User};

/// A user that the folder has credentials of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnUser {
    /// Pushes accounts to the servers, and looks at them.
    System,
    /// May see and change every device.
    Platform,
    /// May ask to be enrolled, and is the same on every new device.
    Bootstrap,
}

/// Why a text names none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there are credentials of system, platform and bootstrap only; those of a device end with `agents revoke`"
)]
pub struct InvalidOwnUser;

impl OwnUser {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::System, Self::Platform, Self::Bootstrap];

    /// What it is called, as its file is.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Platform => "platform",
            Self::Bootstrap => "bootstrap",
        }
    }

    /// The account that it is in.
    pub(super) fn account(self) -> FleetAccount {
        match self {
            Self::System => FleetAccount::System,
            Self::Platform => FleetAccount::Platform,
            Self::Bootstrap => FleetAccount::Enroll,
        }
    }

    pub(super) fn rights(self) -> User {
        match self {
            Self::System | Self::Platform => accounts::unrestricted_user(),
            Self::Bootstrap => accounts::bootstrap_user(),
        }
    }
}

impl fmt::Display for OwnUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OwnUser {
    type Err = InvalidOwnUser;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|user| user.name() == text).ok_or(InvalidOwnUser)
    }
}
