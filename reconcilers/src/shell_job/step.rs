//! What can be done about a job.

use agent_model::{Conclusion, Digest, Step};
use process_shim::ProcessIdentity;

use super::history::Outcome;

/// One action on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellJobStep {
    /// Notes that it is started, and starts it.
    Start {
        /// Names the run.
        run: String,
        /// Counts the runs of this declaration, from 1.
        attempt: u64,
        /// The digest of the script.
        script: Digest,
        /// As declared.
        run_id: String,
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
    /// Ends what is left of a run whose shim is no more.
    Sweep {
        /// The run.
        run: String,
    },
    /// Notes how a run ended.
    Conclude {
        /// The digest of the declaration that it was a run of.
        key: Digest,
        /// The run.
        run: String,
        /// The digest of the script.
        script: Digest,
        /// As declared.
        run_id: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// Removes what is kept of its last run. That it ran stays known.
    Clear,
}

impl Step for ShellJobStep {
    fn summary(&self) -> String {
        match self {
            Self::Start { attempt, script, run_id, .. } => {
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                format!("run the script {script}{}{again}", shown(run_id))
            }
            Self::Stop { cause, .. } => format!("stop it: {cause}"),
            Self::Kill { .. } => "kill its shim, which does not get to start it".to_owned(),
            Self::Sweep { .. } => "end what its shim left behind".to_owned(),
            Self::Conclude { script, run_id, outcome, .. } => {
                format!("note the end of the script {script}{}: {outcome}", shown(run_id))
            }
            Self::Clear => "remove its output".to_owned(),
        }
    }

    /// Only a start brings about what is declared.
    fn alters_target(&self) -> bool {
        matches!(self, Self::Start { .. })
    }

    fn restarts_target(&self) -> bool {
        matches!(self, Self::Start { attempt: 2.., .. })
    }

    fn concludes(&self) -> Option<Conclusion> {
        match self {
            Self::Conclude { outcome, .. } => Some(outcome.conclusion),
            _ => None,
        }
    }
}

fn shown(run_id: &str) -> String {
    if run_id.is_empty() { String::new() } else { format!(" (runId {run_id:?})") }
}
