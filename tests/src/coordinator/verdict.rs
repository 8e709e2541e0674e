//! What a fleet can be found guilty of.

use std::fmt;

use super::record::Body;

/// Something that must never be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The last document of a device never came into force there, or went out of force again.
    LostDocument {
        /// Which device.
        device: usize,
        /// How that shows.
        evidence: String,
    },
    /// A device put something older in the place of something newer.
    OlderOverNewer {
        /// Which device.
        body: Body,
        /// How that shows.
        evidence: String,
    },
    /// A device has something that no document which is in order declares.
    NeverDeclared {
        /// Which device.
        body: Body,
        /// How that shows.
        evidence: String,
    },
    /// A status claims what is not so.
    FalseStatus {
        /// Under whose name.
        device: usize,
        /// How that shows.
        evidence: String,
    },
    /// More than one process writes the status of a device.
    SecondWriter {
        /// Of which device.
        device: usize,
        /// How that shows.
        evidence: String,
    },
    /// A device asks the server for more than it may.
    Unbounded {
        /// Which device.
        device: usize,
        /// How that shows.
        evidence: String,
    },
    /// A process was started again though nothing about it had changed.
    Restarted {
        /// On which device.
        body: Body,
        /// How that shows.
        evidence: String,
    },
}

impl Verdict {
    /// The device that is guilty.
    pub fn device(&self) -> usize {
        match self {
            Self::LostDocument { device, .. }
            | Self::FalseStatus { device, .. }
            | Self::SecondWriter { device, .. }
            | Self::Unbounded { device, .. } => *device,
            Self::OlderOverNewer { body, .. }
            | Self::NeverDeclared { body, .. }
            | Self::Restarted { body, .. } => body.device,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostDocument { device, evidence } => {
                write!(f, "device {device} lost its last document: {evidence}")
            }
            Self::OlderOverNewer { body, evidence } => {
                write!(f, "{body} put something older over something newer: {evidence}")
            }
            Self::NeverDeclared { body, evidence } => {
                write!(f, "{body} has what no document in order declares: {evidence}")
            }
            Self::FalseStatus { device, evidence } => {
                write!(f, "the status of device {device} claims what is not so: {evidence}")
            }
            Self::SecondWriter { device, evidence } => {
                write!(f, "the status of device {device} has more than one writer: {evidence}")
            }
            Self::Unbounded { device, evidence } => {
                write!(f, "device {device} asks for more than it may: {evidence}")
            }
            Self::Restarted { body, evidence } => {
                write!(f, "{body} started a process again without a cause: {evidence}")
            }
        }
    }
}
