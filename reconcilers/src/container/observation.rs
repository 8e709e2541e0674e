//! What a look at the runtime found of a container.

use std::{net::IpAddr, time::Duration};

use agent_model::Failure;

use crate::workload::health::Health;

/// What was found of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerObservation {
    /// What has its name.
    pub current: Slot,
    /// What has the name of the container that was replaced last.
    pub previous: Slot,
    /// Containers that were made for it and have another name.
    pub leftovers: Vec<String>,
    /// Its image, where one is going to be needed.
    pub image: Image,
    /// Why what is declared could not be created or started when that was tried last.
    pub not_started: Option<Failure>,
    /// What its declaration asks for and this device has not.
    pub unusable: Option<Failure>,
    /// Limits that are declared and that the runtime cannot hold it to, each with why.
    pub unenforced: Vec<String>,
    /// This boot of the device.
    pub boot: String,
}

/// What has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// Nothing.
    Empty,
    /// A container that this agent did not make for this resource.
    Stranger {
        /// Its id, and whose it seems to be.
        who: String,
    },
    /// Ours.
    Ours(Found),
}

/// A container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// The effective digest that it was made for.
    pub digest: String,
    /// The id of the image that it was made from.
    pub image: String,
    /// How it is.
    pub state: State,
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was never started.
    Created,
    /// It runs.
    Running(Running),
    /// It runs and somebody has frozen it.
    Paused,
    /// The runtime has been asked by us to stop it, and has not answered yet.
    Stopping,
    /// It is over.
    Ended(Ended),
    /// The runtime is about to remove it.
    Leaving,
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// When it was started (RFC 3339), as the runtime writes it: names the run.
    pub started_at: String,
    /// For how long it has been up.
    pub up_for: Duration,
    /// Its address where the device reaches it.
    pub address: Option<IpAddr>,
    /// How it is.
    pub health: Health,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// When it was started.
    pub started_at: String,
    /// What it ended with, 128 and the signal's number when a signal ended it.
    pub exit_code: i64,
    /// Whether there was too little memory for it, says the runtime.
    pub out_of_memory: bool,
    /// How long it ran.
    pub ran_for: Duration,
    /// How long that is ago.
    pub ended_ago: Duration,
}

/// The image that a declaration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Nobody needs it now, so nobody looked.
    NotNeeded,
    /// The device has none of that reference.
    Absent,
    /// The device has it.
    Present {
        /// Its id.
        id: String,
        /// Whether it was pulled for the container that is about to be created.
        fresh: bool,
    },
    /// It is being pulled.
    Pulling {
        /// How far that is.
        progress: String,
    },
    /// It could not be pulled.
    NotPulled {
        /// Why.
        failure: Failure,
        /// How often in a row.
        attempts: u64,
        /// When it is tried again; zero is at once.
        wait: Duration,
    },
}

impl ContainerObservation {
    /// Whether what has its name runs.
    pub(super) fn is_running(&self) -> bool {
        self.current.ours().is_some_and(|found| matches!(found.state, State::Running(_)))
    }
}

impl Slot {
    /// The container, where it is ours.
    pub(super) fn ours(&self) -> Option<&Found> {
        match self {
            Self::Ours(found) => Some(found),
            Self::Empty | Self::Stranger { .. } => None,
        }
    }
}

impl Found {
    /// Names the run that it is in or was in last.
    pub(super) fn run(&self) -> Option<String> {
        let started_at = match &self.state {
            State::Running(running) => &running.started_at,
            State::Ended(ended) => &ended.started_at,
            State::Created | State::Paused | State::Stopping | State::Leaving => return None,
        };
        Some(run_of(&self.id, started_at))
    }
}

/// Names one run of a container: it is started again as itself.
pub(super) fn run_of(id: &str, started_at: &str) -> String {
    format!("{id}@{started_at}")
}
