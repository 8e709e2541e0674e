//! What the agent has started, which outlives it.

use std::path::PathBuf;

use process_shim::{ProcessFolder, ProcessIdentity, ShimRecord};

use super::Agent;
use crate::workloads;

impl Agent {
    /// The folder of one of its processes.
    pub fn process_folder(&self, name: &str) -> ProcessFolder {
        ProcessFolder::of(self.state_dir().join("processes").join(name))
    }

    /// What the shim of one of its processes says.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn shim_record(&self, name: &str) -> ShimRecord {
        let record = ShimRecord::read(&self.process_folder(name).shim_record());
        record.unwrap().unwrap_or_else(|| panic!("no shim ever held {name}\n{}", self.log()))
    }

    /// One of its processes.
    ///
    /// # Panics
    /// When there is no such process, or it never ran.
    pub fn process(&self, name: &str) -> ProcessIdentity {
        self.shim_record(name).process.unwrap_or_else(|| panic!("{name} was not started\n{}", self.log()))
    }

    /// All that runs because of its agents: shims, processes, and what these have started.
    pub fn workloads(&self) -> Vec<ProcessIdentity> {
        workloads::running(&self.state_dir)
    }

    /// The control groups that hold those of its processes.
    pub fn control_groups(&self) -> Vec<PathBuf> {
        workloads::control_groups(&self.state_dir)
    }
}
