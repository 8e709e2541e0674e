//! What a look at the device found of a job.

use std::time::Duration;

use agent_model::{Digest, Failure};
use serde_json::Value;

use super::history::{JobRun, Known, Outcome};
use crate::held::Found;

/// What was found of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellJobObservation {
    /// What there is of the last run of that name.
    pub(super) found: Found,
    /// How that run ended, where its shim noted it, whether or not in this boot.
    pub(super) ended: Option<(String, Outcome)>,
    /// A run of that name whose end is not in the history, with its declaration.
    pub(super) open: Option<(Digest, JobRun)>,
    /// What the history says of the declaration.
    pub(super) known: Option<Known>,
    /// How long its last run is over; `None` where it was in an earlier boot.
    pub(super) ended_ago: Option<Duration>,
    /// Whether there is what makes it needless.
    pub(super) creates_exists: bool,
    /// What keeps it from being run as it has to be.
    pub(super) obstacle: Option<Failure>,
    /// What the last run printed, where it was one of this declaration.
    pub(super) output: Value,
    /// The name that the next run would have.
    pub(super) next_run: String,
}
