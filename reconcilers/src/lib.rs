//! One folder for each kind of resource: how to observe it, plan for it, act on it, and be woken
//! by it.
//!
//! Every kind implements [`agent_model::Reconciler`] and knows nothing of the others.

mod file;
mod held;
mod process;
mod shell_job;

pub use file::{FileObservation, FileReconciler, FileReconcilerSettings, FileRecord, FileStep};
pub use held::Account;
pub use process::{
    ProcessObservation, ProcessReconciler, ProcessReconcilerSettings, ProcessRecord, ProcessStep,
};
pub use shell_job::{
    ShellJobObservation, ShellJobReconciler, ShellJobReconcilerSettings, ShellJobRecord, ShellJobStep,
    check_sandbox,
};
