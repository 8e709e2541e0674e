//! What a resource takes possession of on the device.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ResourceKind, ResourceName, TargetPath};

/// The one thing on the device that a resource is about: a path, a process, later a unit or a container.
///
/// Inventory, counters and originals belong to the claim, not to the resource's name: a renamed
/// resource with the same claim is the same thing, and nothing is removed or restarted for it. Only a
/// process has nothing but that name to be known by: renamed, it is another one.
/// As text, for example in the ledger: `File:/etc/app.conf`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Claim {
    /// A path, claimed by a `File`.
    File(TargetPath),
    /// A process, claimed by the `Process` of that name.
    Process(ResourceName),
    /// A job, claimed by the `ShellJob` of that name.
    ShellJob(ResourceName),
}

/// Why a text is no claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a claim of this agent's kinds")]
pub struct InvalidClaim {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl Claim {
    /// The kind of resource that makes such a claim.
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::File(_) => ResourceKind::File,
            Self::Process(_) => ResourceKind::Process,
            Self::ShellJob(_) => ResourceKind::ShellJob,
        }
    }

    /// Why the two cannot both be had, in words that follow `conflicts with <name>: `, or `None`
    /// when they can.
    pub fn conflict(&self, other: &Claim) -> Option<&'static str> {
        match (self, other) {
            (Self::File(one), Self::File(two)) if one == two => Some("both claim the same path"),
            (Self::File(one), Self::File(two)) if one.is_below(two) || two.is_below(one) => {
                Some("one path lies below the other, which is a regular file")
            }
            // That names are unique is a rule of its own, by which nobody is told twice.
            (Self::File(_) | Self::Process(_) | Self::ShellJob(_), _) => None,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File:{path}"),
            Self::Process(name) => write!(f, "Process:{name}"),
            Self::ShellJob(name) => write!(f, "ShellJob:{name}"),
        }
    }
}

impl FromStr for Claim {
    type Err = InvalidClaim;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidClaim { given: text.chars().take(120).collect() };
        let (kind, key) = text.split_once(':').ok_or_else(invalid)?;
        match kind.parse().map_err(|()| invalid())? {
            ResourceKind::File => key.parse().map(Self::File).map_err(|_| invalid()),
            ResourceKind::Process => key.parse().map(Self::Process).map_err(|_| invalid()),
            ResourceKind::ShellJob => key.parse().map(Self::ShellJob).map_err(|_| invalid()),
        }
    }
}

impl TryFrom<String> for Claim {
    type Error = InvalidClaim;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Claim> for String {
    fn from(claim: Claim) -> Self {
        claim.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_reads_back_as_written() {
        for text in ["File:/etc/app.conf", "Process:web", "ShellJob:setup"] {
            assert_eq!(text.parse::<Claim>().unwrap().to_string(), text);
        }
        for text in ["", "web", "File:web", "Process:/etc/app.conf", "Process:", "Unit:web", "process:web"] {
            assert!(text.parse::<Claim>().is_err(), "{text:?} was accepted");
        }
    }
}
