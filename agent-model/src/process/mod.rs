//! What a `Process` resource declares.

mod reading;
#[cfg(test)]
mod tests;
mod writing;

use std::time::Duration;

use crate::{
    Principal, TargetPath,
    workload::{Commands, Environment, Limits, LogBounds, Probes, RestartPolicy, StopSignal},
};

/// How long a process may take to stop unless declared otherwise.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A program that runs, outlives the agent, and is started again by its restart policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSpec {
    /// The program and its arguments: at least the program, none with a NUL. A program without `/` is
    /// looked for in the `PATH` of `env`.
    pub command: Vec<String>,
    /// Its environment, on top of `PATH`, `HOME`, `USER`, `LOGNAME` and `SHELL`. Nothing of the agent's.
    pub env: Environment,
    /// Its working folder on the device; `/` when `None`.
    pub workdir: Option<TargetPath>,
    /// Its user; the agent's own when `None`.
    pub user: Option<Principal>,
    /// Its group; that of the user when `None`.
    pub group: Option<Principal>,
    /// When it is started again after it ended.
    pub restart: RestartPolicy,
    /// What it may use.
    pub limits: Limits,
    /// How its health is found out.
    pub probes: Probes,
    /// What asks it to stop.
    pub stop_signal: StopSignal,
    /// How long it may take to stop before all that is left of it is killed.
    pub stop_timeout: Duration,
    /// How much of what it prints is kept.
    pub log: LogBounds,
}

impl ProcessSpec {
    /// A process with this command and all else at its default.
    pub fn new(command: Vec<String>) -> Self {
        Self {
            command,
            env: Environment::default(),
            workdir: None,
            user: None,
            group: None,
            restart: RestartPolicy::default(),
            limits: Limits::default(),
            probes: Probes::default(),
            stop_signal: StopSignal::default(),
            stop_timeout: DEFAULT_STOP_TIMEOUT,
            log: LogBounds::default(),
        }
    }

    /// How many bytes its commands, those of its probes included, and its environment have together.
    pub fn argument_bytes(&self) -> u64 {
        self.commands().bytes()
    }

    fn commands(&self) -> Commands<'_> {
        Commands::new("/command", &self.command, &self.env, &self.probes)
    }
}
