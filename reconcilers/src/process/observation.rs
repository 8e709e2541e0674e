//! What a look at the device found of a process.

use crate::{held, workload::health::Health};

pub(super) use crate::held::Ended;

/// What there is of a process.
pub(super) type Found = held::Found<Health>;
/// A process that runs.
pub(super) type Running = held::Running<Health>;

/// What was found of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessObservation {
    /// What there is.
    pub(super) found: Found,
    /// The name that the next run would have.
    pub(super) next_run: String,
    /// Limits that are declared and cannot be held this process to on this device, each with why.
    pub(super) unenforced: Vec<String>,
}
