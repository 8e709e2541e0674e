//! The seam between the dispatcher and one manifest format.

use semver::Version;
use serde_json::Value;

use crate::{DesiredState, DeviceFacts, Invalid};

/// A manifest format: one `kind` of envelope and the schema versions of it that can be read.
/// Synchronous and pure: lowering never touches the device.
pub trait ManifestFormat: Send + Sync + 'static {
    /// The envelope's `kind`.
    fn kind(&self) -> &'static str;

    /// The schema versions this format reads, oldest first; never empty. Each stands for its
    /// whole major version up to itself (for major 0: its minor version), so that the newest of
    /// each would do: the older ones are for people, who see them in the device's status.
    fn schema_versions(&self) -> Vec<Version>;

    /// Turns a spec into the desired state.
    ///
    /// # Errors
    /// Every problem of the spec, each with its JSON pointer from the document's root.
    fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid>;
}

/// What a format gets to read.
#[derive(Debug, Clone, Copy)]
pub struct SpecDocument<'a> {
    /// The envelope's `spec`.
    pub spec: &'a Value,
    /// What the author wrote against.
    pub schema_version: &'a Version,
    /// What to do about keys that the format does not know.
    pub unknown_keys: UnknownKeys,
    /// The device's facts.
    pub facts: &'a DeviceFacts,
}

/// What to do about keys in the spec that the format does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKeys {
    /// The author wrote for this reader or an older one: an unknown key is a mistake.
    AreProblems,
    /// The author wrote for a newer reader and said that this one suffices: leave them out and
    /// list them.
    AreIgnored,
}

/// A lowered document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lowered {
    /// What the device should be.
    pub state: DesiredState,
    /// JSON pointers of the keys that were left out.
    pub ignored: Vec<String>,
}
