//! A service of systemd with its program and configuration.

mod program;

use agent_model::{
    SystemdUnitSpec,
    reader::{Field, Findings},
};
use semver::Version;
use serde::Serialize;

use crate::{
    Child, ConfigSet, File, Files, Interpret, InterpretError, Score, SystemdUnit, SystemdUnits, WireForm,
};

pub use program::Program;

/// The name of the program's part.
const PROGRAM: &str = "program";

/// A unit of systemd that is restarted when its program, or one of its configuration files, is declared otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceApp {
    /// What the unit starts; `None` for what the device has anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// Its configuration files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigSet>,
    /// The unit. It takes the Score's own name.
    pub unit: SystemdUnitSpec,
}

impl WireForm for ServiceApp {
    const NAME: &'static str = "ServiceApp";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        body.object(findings, |fields| {
            let program = fields.optional("program", Program::read);
            let config = fields.optional("config", ConfigSet::read);
            let unit = fields.required("unit", SystemdUnitSpec::read);
            Some(Self { program, config, unit: unit? })
        })
    }
}

impl<T: Files + SystemdUnits> Score<T> for ServiceApp {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: Files + SystemdUnits> Interpret<T> for &ServiceApp {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        let mut files = Vec::new();
        if let Some(Program(program)) = &self.program {
            let child = Child { name: PROGRAM, pointer: "/program", ..Child::default() };
            files.extend(topology.interpret(&child, &File(program.clone()))?);
        }
        if let Some(config) = &self.config {
            files.extend(config.declare(topology, "/config")?);
        }
        let child = Child { pointer: "/unit", depends_on: &files, restart_on: &files, ..Child::default() };
        topology.interpret(&child, &SystemdUnit(self.unit.clone())).map(|_| ())
    }
}
