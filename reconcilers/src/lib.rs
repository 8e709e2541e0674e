//! One folder for each kind of resource: how to observe it, plan for it, act on it, and be woken
//! by it.
//!
//! Every kind implements [`agent_model::Reconciler`] and knows nothing of the others.

mod file;
mod process;
mod systemd_unit;

pub use file::{FileObservation, FileReconciler, FileReconcilerSettings, FileRecord, FileStep};
pub use process::{
    Account, ProcessObservation, ProcessReconciler, ProcessReconcilerSettings, ProcessRecord, ProcessStep,
};
pub use systemd_unit::{
    SystemdUnitObservation, SystemdUnitReconciler, SystemdUnitReconcilerSettings, SystemdUnitRecord,
    SystemdUnitStep, systemd_version,
};
