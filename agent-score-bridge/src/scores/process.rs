//! A program that runs.

use agent_model::{
    ProcessSpec,
    reader::{Field, Findings},
};
use semver::Version;
use serde::Serialize;

use crate::{Interpret, InterpretError, Processes, Score, WireForm};

/// A program that runs, outlives the agent, and is started again by its restart policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Process(pub ProcessSpec);

impl WireForm for Process {
    const NAME: &'static str = "Process";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        ProcessSpec::read(body, findings).map(Self)
    }
}

impl<T: Processes> Score<T> for Process {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: Processes> Interpret<T> for &Process {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        topology.declare_process(self.0.clone(), "")
    }
}
