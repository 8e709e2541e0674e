//! One folder for each kind of resource: how to observe it, plan for it, act on it, and be woken
//! by it.
//!
//! Every kind implements [`agent_model::Reconciler`] and knows nothing of the others.

mod container;
mod file;
mod process;
mod systemd_unit;
mod workload;

pub use container::{
    ContainerObservation, ContainerReconciler, ContainerReconcilerSettings, ContainerRecord,
    ContainerRuntime, ContainerStep, container_sockets, probe_container_runtime, registry_logins,
};
pub use file::{FileObservation, FileReconciler, FileReconcilerSettings, FileRecord, FileStep};
pub use process::{
    Account, ProcessObservation, ProcessReconciler, ProcessReconcilerSettings, ProcessRecord, ProcessStep,
};
pub use systemd_unit::{
    SystemdUnitObservation, SystemdUnitReconciler, SystemdUnitReconcilerSettings, SystemdUnitRecord,
    SystemdUnitStep, systemd_version,
};
