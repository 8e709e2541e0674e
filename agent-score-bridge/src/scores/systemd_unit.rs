//! A unit of systemd.

use agent_model::{
    SystemdUnitSpec,
    reader::{Field, Findings},
};
use semver::Version;
use serde::Serialize;

use crate::{Interpret, InterpretError, Score, SystemdUnits, WireForm};

/// A unit of systemd: its file, what is put beside it, and whether it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SystemdUnit(pub SystemdUnitSpec);

impl WireForm for SystemdUnit {
    const NAME: &'static str = "SystemdUnit";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        SystemdUnitSpec::read(body, findings).map(Self)
    }
}

impl<T: SystemdUnits> Score<T> for SystemdUnit {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: SystemdUnits> Interpret<T> for &SystemdUnit {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        topology.declare_systemd_unit(self.0.clone(), "/unit")
    }
}
