//! What a `ShellJob` resource declares.

mod arguments;
mod reading;
mod steering;
#[cfg(test)]
mod tests;
mod writing;

use std::time::Duration;

use crate::{
    Ask, Digest, Principal, TargetPath,
    workload::{Environment, Limits},
};

/// How long a job may take unless declared otherwise.
pub const DEFAULT_JOB_TIMEOUT: Duration = Duration::from_secs(60);

/// The interpreter of a job that declares none: the shell, which ends at the first command that fails and at
/// the first variable that is not set.
const DEFAULT_INTERPRETER: [&str; 2] = ["/bin/sh", "-eu"];

/// A script that runs to its end, at most once, isolated from the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellJobSpec {
    /// The text that the interpreter is given as a file; no NUL in it.
    pub script: String,
    /// The program that reads the script, and its arguments: at least the program. The script's path is its last
    /// argument.
    pub interpreter: Vec<String>,
    /// Tells runs of the same script apart: with another one it runs once more. Empty where there is none.
    pub run_id: String,
    /// A script that is run first, in the same way: where it ends with 0, the job is skipped.
    pub unless: Option<String>,
    /// Where this exists on the device, the job is skipped.
    pub creates: Option<TargetPath>,
    /// How long each script may take before all of it is killed.
    pub timeout: Duration,
    /// How often it is run again after it failed.
    pub retry: u64,
    /// Its environment, on top of `PATH`, `HOME`, `USER`, `LOGNAME` and `SHELL`. Nothing of the agent's.
    pub env: Environment,
    /// Its user; [`DEFAULT_USER`](Self::DEFAULT_USER) when `None`.
    pub user: Option<Principal>,
    /// Whether it has the device's network; otherwise it has none.
    pub network: bool,
    /// Folders and files of the device that it can write in; everything else it can only read.
    pub writable_paths: Vec<TargetPath>,
    /// What it may use.
    pub limits: Limits,
}

impl ShellJobSpec {
    /// Whose rights a job has that declares no user: those of nobody, by the number that Linux has for it
    /// (`/proc/sys/kernel/overflowuid`), because not every device has the name.
    pub const DEFAULT_USER: Principal = Principal::Id(65534);

    /// A job of this script with all else at its default.
    pub fn new(script: impl Into<String>) -> Self {
        Self {
            script: script.into(),
            interpreter: DEFAULT_INTERPRETER.map(str::to_owned).into(),
            run_id: String::new(),
            unless: None,
            creates: None,
            timeout: DEFAULT_JOB_TIMEOUT,
            retry: 0,
            env: Environment::default(),
            user: None,
            network: false,
            writable_paths: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// The digest of the script's text, as `sha256sum` prints it: what a device's policy lists.
    pub fn script_digest(&self) -> Digest {
        Digest::of_bytes(self.script.as_bytes())
    }

    /// Whose rights it has.
    pub fn runs_as(&self) -> &Principal {
        const DEFAULT: &Principal = &ShellJobSpec::DEFAULT_USER;
        self.user.as_ref().unwrap_or(DEFAULT)
    }

    /// What it asks of the device.
    pub(crate) fn asks(&self) -> Vec<Ask<'_>> {
        let scripts = [Some(&self.script), self.unless.as_ref()].into_iter().flatten();
        let scripts = scripts.map(|script| Ask::RunScript(Digest::of_bytes(script.as_bytes())));
        let steers = self.steers().into_iter().map(Ask::SteerScript);
        let user = Ask::RunAs { user: Some(self.runs_as()), group: None };
        let network = self.network.then_some(Ask::UseHostNetwork);
        let paths = self.writable_paths.iter().map(Ask::WriteBelow);
        scripts.chain(steers).chain([user]).chain(network).chain(paths).collect()
    }
}
