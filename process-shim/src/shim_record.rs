//! What a shim holds.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{ProcessIdentity, RecordError, record_file};

/// What a shim says of itself and of the process that it holds: `shim.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShimRecord {
    /// Which run of the process it is.
    pub run: String,
    /// The effective digest of what was declared when it was started.
    pub digest: String,
    /// The boot in which all this holds.
    pub boot_id: String,
    /// The shim.
    pub shim: ProcessIdentity,
    /// The process; `None` until it is started.
    pub process: Option<ProcessIdentity>,
    /// When it was started (RFC 3339), by the clock of that moment: for people.
    pub started_at: String,
    /// When it was started, in milliseconds since boot.
    pub started_ms: u64,
    /// Whether the shim is stopping it.
    pub stopping: bool,
    /// Folders of the control groups that it is in.
    pub control_groups: Vec<std::path::PathBuf>,
}

impl ShimRecord {
    /// The record in that file; `None` when there is none.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn read(path: &Path) -> Result<Option<Self>, RecordError> {
        record_file::read(path)
    }

    /// Replaces the record in that file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        record_file::write(path, self)
    }
}
