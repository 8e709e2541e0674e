//! One folder for each kind of resource: how to observe it, plan for it, act on it, and be woken
//! by it.
//!
//! Every kind implements [`agent_model::Reconciler`] and knows nothing of the others. Beside them lies what
//! several share: `workload` for all that runs, `held` for what runs under `process-shim`, `mounted_path` for what is
//! mounted into a container or sandbox, and `refused_by_disk` for what the file system does not do.

mod container;
#[cfg(test)]
mod fake_unsealer;
mod file;
mod held;
mod mounted_path;
mod process;
mod refused_by_disk;
mod shell_job;
mod systemd_unit;
mod workload;

pub use container::{
    ContainerObservation, ContainerReconciler, ContainerReconcilerSettings, ContainerRecord,
    ContainerRuntime, ContainerStep, container_sockets, probe_container_runtime, registry_logins,
};
pub use file::{FileObservation, FileReconciler, FileReconcilerSettings, FileRecord, FileStep};
pub use held::Account;
pub use process::{
    ProcessObservation, ProcessReconciler, ProcessReconcilerSettings, ProcessRecord, ProcessStep,
};
pub use shell_job::{
    ShellJobObservation, ShellJobReconciler, ShellJobReconcilerSettings, ShellJobRecord, ShellJobStep,
    check_sandbox,
};
pub use systemd_unit::{
    SystemdUnitObservation, SystemdUnitReconciler, SystemdUnitReconcilerSettings, SystemdUnitRecord,
    SystemdUnitStep, systemd_version,
};
