//! The configuration files of a container.

use agent_model::{
    Mount, MountSource, TargetPath,
    reader::{Field, Findings},
};
use serde::Serialize;

use crate::ConfigSet;

/// Configuration files, and where the container sees them.
///
/// Their folder is mounted and not each of them: a file that is replaced, as each is that changes or is repaired, would
/// go on being seen as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MountedConfig {
    /// The files, in a folder of the device.
    #[serde(flatten)]
    pub set: ConfigSet,
    /// Where in the container that folder is seen; it cannot be written there.
    pub target: TargetPath,
}

impl MountedConfig {
    pub(super) fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        field.object(findings, |fields| {
            let set = ConfigSet::read_fields(fields);
            let target = fields.required("target", Mount::read_target);
            Some(Self { set: set?, target: target? })
        })
    }

    pub(super) fn mount(&self) -> Mount {
        let source = MountSource::Bind(self.set.folder.clone());
        Mount { source, target: self.target.clone(), read_only: true }
    }
}
