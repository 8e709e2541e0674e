//! What a resource takes possession of on the device.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ResourceKind, ResourceName, TargetPath, UnitName};

/// The one thing on the device that a resource is about: a path, a process, a unit, a container.
///
/// Inventory, counters and originals belong to the claim, not to the resource's name: a renamed
/// resource with the same claim is the same thing, and nothing is removed or restarted for it. Only a
/// process has nothing but that name to be known by: renamed, it is another one.
/// As text, for example in the ledger: `File:/etc/app.conf`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Claim {
    /// A container of that name in the device's runtime.
    Container(ResourceName),
    /// A path, claimed by a `File`.
    File(TargetPath),
    /// A process, claimed by the `Process` of that name.
    Process(ResourceName),
    /// A job, claimed by the `ShellJob` of that name.
    ShellJob(ResourceName),
    /// A unit of systemd, with its file and its drop-ins.
    SystemdUnit(UnitName),
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
            Self::Container(_) => ResourceKind::Container,
            Self::File(_) => ResourceKind::File,
            Self::Process(_) => ResourceKind::Process,
            Self::ShellJob(_) => ResourceKind::ShellJob,
            Self::SystemdUnit(_) => ResourceKind::SystemdUnit,
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
            (Self::SystemdUnit(one), Self::SystemdUnit(two)) if one == two => {
                Some("both claim the same unit")
            }
            (Self::SystemdUnit(unit), Self::File(path)) | (Self::File(path), Self::SystemdUnit(unit)) => {
                let above = unit.file().is_below(path);
                let within = UnitName::owning(path).is_some_and(|owning| owning == *unit);
                (above || within).then_some(
                    "the path is that of the unit's file, of its drop-ins or above: give what belongs there as the \
                     unit's content or dropIns",
                )
            }
            // That names are unique is a rule of its own, by which nobody is told twice.
            (
                Self::Container(_)
                | Self::File(_)
                | Self::Process(_)
                | Self::ShellJob(_)
                | Self::SystemdUnit(_),
                _,
            ) => None,
        }
    }

    /// Claims of other things that this one [conflicts](Self::conflict) with wherever they are made too; of
    /// those two claims that conflict at least one has the other here.
    pub(crate) fn rivals(&self) -> Vec<Claim> {
        let files = |path: &TargetPath| -> Vec<Claim> {
            path.ancestors().filter_map(|above| above.parse().ok()).map(Claim::File).collect()
        };
        match self {
            Self::File(path) => {
                let unit = UnitName::owning(path).map(Claim::SystemdUnit);
                files(path).into_iter().chain(unit).collect()
            }
            Self::Container(_) | Self::Process(_) | Self::ShellJob(_) => Vec::new(),
            Self::SystemdUnit(unit) => files(unit.file()),
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(name) => write!(f, "Container:{name}"),
            Self::File(path) => write!(f, "File:{path}"),
            Self::Process(name) => write!(f, "Process:{name}"),
            Self::ShellJob(name) => write!(f, "ShellJob:{name}"),
            Self::SystemdUnit(unit) => write!(f, "SystemdUnit:{unit}"),
        }
    }
}

impl FromStr for Claim {
    type Err = InvalidClaim;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidClaim { given: text.chars().take(120).collect() };
        let (kind, key) = text.split_once(':').ok_or_else(invalid)?;
        match kind.parse().map_err(|_: String| invalid())? {
            ResourceKind::Container => key.parse().map(Self::Container).map_err(|_| invalid()),
            ResourceKind::File => key.parse().map(Self::File).map_err(|_| invalid()),
            ResourceKind::Process => key.parse().map(Self::Process).map_err(|_| invalid()),
            ResourceKind::ShellJob => key.parse().map(Self::ShellJob).map_err(|_| invalid()),
            ResourceKind::SystemdUnit => key.parse().map(Self::SystemdUnit).map_err(|_| invalid()),
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
        for text in [
            "Container:web",
            "File:/etc/app.conf",
            "Process:web",
            "ShellJob:setup",
            "SystemdUnit:a@b:c.service",
        ] {
            assert_eq!(text.parse::<Claim>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "web",
            "File:web",
            "Process:/etc/app.conf",
            "Process:",
            "Unit:web",
            "process:web",
            "SystemdUnit:web",
        ] {
            assert!(text.parse::<Claim>().is_err(), "{text:?} was accepted");
        }
    }
}
