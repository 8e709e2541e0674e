//! A regular file.

use agent_model::{
    FileSpec,
    reader::{Field, Findings},
};
use semver::Version;
use serde::Serialize;

use crate::{Files, Interpret, InterpretError, Score, WireForm};

/// A regular file with exactly this content, mode and ownership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct File(pub FileSpec);

impl WireForm for File {
    const NAME: &'static str = "File";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        FileSpec::read(body, findings).map(Self)
    }
}

impl<T: Files> Score<T> for File {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: Files> Interpret<T> for &File {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        topology.declare_file(self.0.clone(), "/path")
    }
}
