//! A folder of configuration files that are rendered from values and the device's facts.

use agent_model::{
    ResourceName,
    reader::{Field, Findings},
};
use semver::Version;
use serde::Serialize;
use serde_json::Value;

use crate::{Files, Interpret, InterpretError, Score, WireForm};

/// A folder of configuration files that are rendered from values and the device's facts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigSet {
    /// What the templates may use.
    pub values: Value,
}

/// One file of the folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigFile {
    /// Its name.
    pub name: ResourceName,
}

impl WireForm for ConfigSet {
    const NAME: &'static str = "ConfigSet";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        body.object(findings, |fields| {
            let values = fields.optional("values", |field, _| Some(field.value.clone())).unwrap_or_default();
            Some(Self { values })
        })
    }
}

impl<T: Files> Score<T> for ConfigSet {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(ConfigSetInterpret(self))
    }
}

struct ConfigSetInterpret<'a>(&'a ConfigSet);

impl<T: Files> Interpret<T> for ConfigSetInterpret<'_> {
    fn execute(&self, _topology: &mut T) -> Result<(), InterpretError> {
        let _ = self.0;
        Ok(())
    }
}
