//! What of outside is seen in a container.

use std::fmt;

use crate::TargetPath;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where in the container.
    pub target: TargetPath,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A file or folder of the device, which must exist.
    Bind(TargetPath),
    /// A volume of the runtime, made when it is not there, and never removed by the agent.
    Volume(VolumeName),
    /// Memory, empty at each start.
    Tmpfs,
}

/// A volume's name: `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);

/// Why a text is no name of a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no name of a volume: use 1 to 64 of a-z, A-Z, 0-9, _, . and -, beginning with a letter or digit")]
pub struct InvalidVolumeName {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl VolumeName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
