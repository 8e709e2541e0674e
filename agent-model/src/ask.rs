//! What a resource asks of the device besides being there: the questions that a device policy answers.
//!
//! Whatever writes a file asks the same question, of whichever kind it is, so that one rule holds for all of
//! them.

use std::{borrow::Cow, fmt};

use crate::{Capability, Digest, Mode, Principal, TargetPath, UnitName};

/// One thing that a resource asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask<'a> {
    /// To write this file, and to make the folders above it.
    WriteFile(&'a TargetPath),
    /// To write this file or folder and all below it, as far as its user may.
    WriteBelow(&'a TargetPath),
    /// To leave a program there that gives whoever runs it the rights of its owner or group.
    GrantRights(Mode),
    /// To run with the rights of this user and group; those of the agent where `None`.
    RunAs {
        /// The user.
        user: Option<&'a Principal>,
        /// The group.
        group: Option<&'a Principal>,
    },
    /// To have this file or folder of the device in a container.
    BindMount {
        /// Which.
        path: &'a TargetPath,
        /// Whether what runs in the container may change it.
        writable: bool,
    },
    /// To run what is in this image, by its reference: `registry.example.com/app:1`.
    PullImage(&'a str),
    /// To have this capability in a container, on top of those that its runtime gives to each.
    AddCapability {
        /// Which.
        capability: Capability,
        /// Whether the container shares the device's network.
        host_network: bool,
    },
    /// To share the device's network instead of having one of its own.
    UseHostNetwork,
    /// To use this device node.
    UseDevice(&'a TargetPath),
    /// To be reached from outside at this port.
    PublishPort(u16),
    /// To run a script with this digest.
    RunScript(Digest),
    /// To have this unit of systemd run or not, and to say what it does.
    ManageUnit(&'a UnitName),
    /// To make a script do something else than its text alone says, in words that follow "to".
    SteerScript(Cow<'a, str>),
    /// Something that is as good as root whatever else it asks for, in words that follow "to".
    RuleDevice(&'static str),
}

impl fmt::Display for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteFile(path) => write!(f, "write {path}"),
            Self::WriteBelow(path) => write!(f, "write {path} and all below it"),
            Self::GrantRights(mode) => write!(f, "set mode {mode}"),
            Self::RunAs { user: None, group: None } => f.write_str("run as the agent's own user"),
            Self::RunAs { user: Some(user), group: None } => write!(f, "run as user {user}"),
            Self::RunAs { user: None, group: Some(group) } => {
                write!(f, "run as the agent's own user with group {group}")
            }
            Self::RunAs { user: Some(user), group: Some(group) } => {
                write!(f, "run as user {user} with group {group}")
            }
            Self::BindMount { path, writable: true } => write!(f, "mount {path}"),
            Self::BindMount { path, writable: false } => write!(f, "mount {path} to read it"),
            Self::PullImage(image) => write!(f, "run the image {image}"),
            Self::AddCapability { capability, .. } => write!(f, "add the capability {capability}"),
            Self::UseHostNetwork => f.write_str("use the host's network"),
            Self::UseDevice(path) => write!(f, "use the device {path}"),
            Self::PublishPort(port) => write!(f, "publish port {port}"),
            Self::RunScript(digest) => write!(f, "run a script, {digest}"),
            Self::ManageUnit(unit) => write!(f, "manage the unit {unit}"),
            Self::SteerScript(what) => f.write_str(what),
            Self::RuleDevice(what) => f.write_str(what),
        }
    }
}
