//! What asks a workload to stop.

use std::{fmt, str::FromStr};

/// A signal that is fit for asking a process to stop; SIGTERM by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StopSignal {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGKILL.
    Kill,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGWINCH.
    Winch,
}

/// Why a text is no signal to stop with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no signal to stop with: use one of {}", StopSignal::ALL.map(StopSignal::as_str).join(", "))]
pub struct InvalidStopSignal {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl StopSignal {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Term, Self::Int, Self::Quit, Self::Hup, Self::Kill, Self::Usr1, Self::Usr2, Self::Winch];

    /// The name as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Hup => "SIGHUP",
            Self::Kill => "SIGKILL",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Winch => "SIGWINCH",
        }
    }
}

impl FromStr for StopSignal {
    type Err = InvalidStopSignal;

    /// Reads the name with or without `SIG`, as podman does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is = |signal: &Self| [signal.as_str(), &signal.as_str()["SIG".len()..]].contains(&text);
        Self::ALL
            .into_iter()
            .find(is)
            .ok_or_else(|| InvalidStopSignal { given: text.chars().take(40).collect() })
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
