//! What can be done about a process.

use agent_model::Step;
use process_shim::ProcessIdentity;

/// One action on a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessStep {
    /// Starts a shim that starts the process.
    Start {
        /// Names the run.
        run: String,
        /// Whether it ran before.
        again: bool,
    },
    /// Asks its shim to stop it, and does not wait for that.
    Stop {
        /// The shim.
        shim: ProcessIdentity,
        /// Why, in words that follow "stop it: ".
        cause: &'static str,
    },
    /// Kills a shim that is stuck.
    Kill {
        /// The shim.
        shim: ProcessIdentity,
    },
    /// Ends what is left of a run whose shim is no more, and notes the end of the run.
    Sweep {
        /// The run.
        run: String,
    },
    /// Removes its records and its log.
    Clear,
}

impl Step for ProcessStep {
    fn summary(&self) -> String {
        match self {
            Self::Start { again: false, .. } => "start it".to_owned(),
            Self::Start { again: true, .. } => "start it again".to_owned(),
            Self::Stop { cause, .. } => format!("stop it: {cause}"),
            Self::Kill { .. } => "kill its shim, which does not get to start it".to_owned(),
            Self::Sweep { .. } => "end what its shim left behind".to_owned(),
            Self::Clear => "remove its records and its log".to_owned(),
        }
    }

    /// Only a start brings about what is declared; whatever ends comes before one, or before removal.
    fn alters_target(&self) -> bool {
        matches!(self, Self::Start { .. })
    }

    fn restarts_target(&self) -> bool {
        matches!(self, Self::Start { again: true, .. })
    }
}
