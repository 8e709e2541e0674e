//! A script that runs to its end.

use agent_model::{
    ShellJobSpec,
    reader::{Field, Findings},
};
use semver::Version;
use serde::Serialize;

use crate::{Interpret, InterpretError, Score, ShellJobs, WireForm};

/// A script that runs to its end, at most once, isolated from the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ShellJob(pub ShellJobSpec);

impl WireForm for ShellJob {
    const NAME: &'static str = "ShellJob";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        ShellJobSpec::read(body, findings).map(Self)
    }
}

impl<T: ShellJobs> Score<T> for ShellJob {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: ShellJobs> Interpret<T> for &ShellJob {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        topology.declare_shell_job(self.0.clone(), "")
    }
}
