//! What of outside is seen in a container.

use std::{fmt, str::FromStr};

use super::name::is_name;
use crate::TargetPath;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where in the container; nothing that the runtime itself puts there ([`is_of_runtime`]).
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

impl MountSource {
    /// The kinds of source, as documents write them.
    pub(super) const KINDS: [&str; 3] = ["Bind", "Volume", "Tmpfs"];

    /// Its kind as documents write it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bind(_) => "Bind",
            Self::Volume(_) => "Volume",
            Self::Tmpfs => "Tmpfs",
        }
    }

    /// What is named as the source; memory has no name.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Bind(path) => Some(path.as_str()),
            Self::Volume(name) => Some(name.as_str()),
            Self::Tmpfs => None,
        }
    }
}

/// Whether only the runtime itself puts something there: its views of the kernel, and the folder of devices as a
/// whole. Single devices and sockets below `/dev` are the author's business.
pub(super) fn is_of_runtime(target: &TargetPath) -> bool {
    matches!(target.components().next(), Some("proc" | "sys")) || target.as_str() == "/dev"
}

/// A volume's name: `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);

/// Why a text is no name of a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no name of a volume: use 1 to 64 of a-z, A-Z, 0-9, _, . and -, beginning with a letter or digit"
)]
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

impl FromStr for VolumeName {
    type Err = InvalidVolumeName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidVolumeName { given: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_named_and_is_no_path_and_no_option() {
        for name in ["data", "0", "a.b_c-D", &"x".repeat(64)] {
            assert!(name.parse::<VolumeName>().is_ok(), "{name:?} was refused");
        }
        for name in ["", "-v", ".a", "_a", "/data", "a/b", "a:ro", "a b", "a\0", "ä", &"x".repeat(65)] {
            assert!(name.parse::<VolumeName>().is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn the_runtimes_own_places_are_no_targets() {
        for (path, expected) in [
            ("/proc", true),
            ("/proc/sys/kernel", true),
            ("/sys/fs/cgroup", true),
            ("/dev", true),
            ("/dev/shm", false),
            ("/dev/log", false),
            ("/process", false),
            ("/etc/sys", false),
        ] {
            assert_eq!(is_of_runtime(&path.parse().unwrap()), expected, "{path}");
        }
    }
}
