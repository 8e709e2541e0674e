//! The program of a service.

use agent_model::{
    FileSpec, Mode,
    reader::{Field, Findings},
};
use serde::{Serialize, Serializer, ser::Error as _};

/// What anybody may run and only its owner may change.
const EXECUTABLE: u32 = 0o755;
/// What is sealed is for its owner alone.
const SEALED_EXECUTABLE: u32 = 0o700;

/// A program or script: a regular file that can be executed, unless its mode is declared otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(pub FileSpec);

impl Program {
    pub(super) fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        let declares_mode = field.value.get("mode").is_some_and(|mode| !mode.is_null());
        let file = FileSpec::read(field, findings)?;
        let default = if file.content.sealed().is_some() { SEALED_EXECUTABLE } else { EXECUTABLE };
        Some(Self(if declares_mode { file } else { FileSpec { mode: Mode::from_bits(default), ..file } }))
    }
}

/// Writes what is read. The mode is written in any case: that of a file by default is none of a program's.
impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut file = serde_json::to_value(&self.0).map_err(S::Error::custom)?;
        file["mode"] = self.0.mode.to_string().into();
        file.serialize(serializer)
    }
}
