//! A container.

use agent_model::{
    ContainerSpec,
    reader::{Field, Findings},
};
use semver::Version;
use serde::Serialize;

use crate::{Containers, Interpret, InterpretError, Score, WireForm};

/// A container that the device's runtime runs, and that the agent starts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Container(pub ContainerSpec);

impl WireForm for Container {
    const NAME: &'static str = "Container";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        ContainerSpec::read(body, findings).map(Self)
    }
}

impl<T: Containers> Score<T> for Container {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: Containers> Interpret<T> for &Container {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        topology.declare_container(self.0.clone(), "")
    }
}
