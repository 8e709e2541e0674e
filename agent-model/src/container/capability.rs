//! The capabilities of the kernel (capabilities(7)), which root is divided into.

use std::{fmt, str::FromStr};

use crate::{did_you_mean, reader::shown};

/// Those of Linux 6, without `CAP_`, and `ALL`.
const NAMES: [&str; 42] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// A capability, or all of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(&'static str);

/// Why a text is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no capability; {}", did_you_mean(given.strip_prefix("CAP_").unwrap_or(given), &NAMES))]
pub struct InvalidCapability {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl Capability {
    /// All of them at once.
    pub const ALL: Self = Self(NAMES[0]);

    /// Its name without `CAP_`.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl FromStr for Capability {
    type Err = InvalidCapability;

    /// Reads the name with or without `CAP_`, as the runtimes do.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_prefix("CAP_").unwrap_or(text);
        let known = NAMES.into_iter().find(|known| *known == name && !(name == "ALL" && text != name));
        known.map(Self).ok_or_else(|| InvalidCapability { given: shown(text) })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_one_of_the_kernel_with_or_without_its_prefix() {
        for name in NAMES {
            assert_eq!(name.parse::<Capability>().unwrap().as_str(), name);
        }
        assert_eq!("CAP_NET_RAW".parse::<Capability>(), "NET_RAW".parse());
        for (text, told) in [
            ("net_raw", "did you mean \"NET_RAW\"?"),
            ("CAP_NET_RAWW", "did you mean \"NET_RAW\"?"),
            ("SYS_ADMINS", "did you mean \"SYS_ADMIN\"?"),
            ("CAP_ALL", "did you mean \"ALL\"?"),
            ("--privileged", "valid here: ALL, AUDIT_CONTROL,"),
            ("", "valid here: ALL, AUDIT_CONTROL,"),
        ] {
            let problem = text.parse::<Capability>().unwrap_err().to_string();
            assert!(problem.contains(told), "{problem}");
        }
    }
}
