//! What a look at the device found of a process.

use std::{path::PathBuf, time::Duration};

use process_shim::{End, ProcessIdentity};

use crate::workload::health::Health;

/// What was found of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessObservation {
    /// What there is.
    pub found: Found,
    /// The name that the next run would have.
    pub next_run: String,
    /// Limits that are declared and cannot be held this process to on this device, each with why.
    pub unenforced: Vec<String>,
}

/// What there is of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or what an earlier boot left.
    Nothing,
    /// A shim that has not started it yet.
    Starting {
        /// The shim; `None` until it has said who it is.
        shim: Option<ProcessIdentity>,
        /// For how long it has been at it.
        since: Duration,
    },
    /// It runs.
    Running(Running),
    /// It has ended or is being stopped; its shim ends what is left of it.
    Stopping {
        /// The run.
        run: String,
        /// The shim.
        shim: ProcessIdentity,
    },
    /// It is over, and nothing of it is left.
    Ended(Ended),
    /// Its shim was ended and says no more; something of it may be left.
    Lost {
        /// The run.
        run: String,
    },
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Which run it is.
    pub run: String,
    /// The effective digest that it was started for.
    pub digest: String,
    /// Its shim.
    pub shim: ProcessIdentity,
    /// The process itself.
    pub process: ProcessIdentity,
    /// When it was started (RFC 3339).
    pub started_at: String,
    /// When that was, since boot.
    pub started: Duration,
    /// The folders of its control groups.
    pub control_groups: Vec<PathBuf>,
    /// How it is.
    pub health: Health,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which run it was.
    pub run: String,
    /// The effective digest that it was started for.
    pub digest: String,
    /// How it ended.
    pub end: End,
    /// Whether the agent had asked for it.
    pub stopped: bool,
    /// Whether there was too little memory for it.
    pub out_of_memory: bool,
    /// How long it ran.
    pub ran_for: Duration,
    /// How long that is ago.
    pub ended_ago: Duration,
}
