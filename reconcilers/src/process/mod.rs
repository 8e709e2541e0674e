//! `Process`: a program that runs, outlives the agent, and is started again when it ends.
//!
//! ```text
//! observe ─ lock, records of the shim, /proc, health ─▶ ProcessObservation
//! plan    ─ pure                                     ─▶ steps, record
//! apply   ─ start a shim | ask it to stop | sweep what a dead one left | clear away
//! wakes   ◀ the end of a process (pidfd), what its probes say
//! ```
//!
//! The shim holds the process, its log and the record of its end (crate `process-shim`); whether and
//! when it is started again is decided here. No step waits for a process to stop or to become ready:
//! both are found by a later pass, which their coming about wakes.

mod apply;
mod exec_probe;
mod failures;
mod launching;
mod observation;
mod observe;
mod plan;
mod record;
mod step;
mod supervision;

use std::{path::PathBuf, sync::Arc};

use agent_model::{
    Claim, Failure, Goal, Plan, ProcessSpec, Reconciler, ResourceKind, ResourceName, ResourceSpec, Target,
    Unsealer,
};
use futures_core::Stream;
use futures_util::StreamExt;
use process_shim::ProcessFolder;

pub use observation::ProcessObservation;
pub use record::ProcessRecord;
pub use step::ProcessStep;

use supervision::Supervision;

use crate::{
    held::{self, ControlGroups, look},
    workload::{self, Wakes},
};

/// Where processes are kept.
#[derive(Debug, Clone)]
pub struct ProcessReconcilerSettings {
    /// A folder for each process; created with mode 0700 when first needed, in a folder that exists.
    pub processes: PathBuf,
    /// The program `process-shim`.
    pub shim: PathBuf,
    /// Whether a process runs that cannot be held to its limits here.
    pub tolerates_unenforceable_limits: bool,
    /// What opens sealed variables.
    pub unsealer: Arc<dyn Unsealer>,
}

/// Reconciles processes.
#[derive(Debug)]
pub struct ProcessReconciler {
    device: Arc<Device>,
}

/// What the work is done on.
#[derive(Debug)]
struct Device {
    processes: PathBuf,
    shim: PathBuf,
    tolerates_unenforceable_limits: bool,
    unsealer: Arc<dyn Unsealer>,
    control_groups: ControlGroups,
    supervision: Supervision,
    wakes: Arc<Wakes>,
}

impl Device {
    fn folder(&self, name: &ResourceName) -> ProcessFolder {
        ProcessFolder::of(self.processes.join(name.as_str()))
    }
}

impl ProcessReconciler {
    /// A reconciler of the processes in the settings' folder.
    pub fn new(settings: ProcessReconcilerSettings) -> Self {
        let ProcessReconcilerSettings { processes, shim, tolerates_unenforceable_limits, unsealer } =
            settings;
        let wakes = Arc::new(Wakes::default());
        let device = Device {
            control_groups: ControlGroups::of(&processes),
            supervision: Supervision::new(shim.clone(), Arc::clone(&unsealer), Arc::clone(&wakes)),
            processes,
            shim,
            tolerates_unenforceable_limits,
            unsealer,
            wakes,
        };
        Self { device: Arc::new(device) }
    }
}

impl Reconciler for ProcessReconciler {
    type Spec = ProcessSpec;
    type Record = ProcessRecord;
    type Observation = ProcessObservation;
    type Step = ProcessStep;

    const KIND: ResourceKind = ResourceKind::Process;

    fn spec_of(spec: &ResourceSpec) -> Option<Arc<ProcessSpec>> {
        match spec {
            ResourceSpec::Process(spec) => Some(Arc::clone(spec)),
            _ => None,
        }
    }

    async fn marked(&self) -> Vec<(Claim, ResourceName, ProcessRecord)> {
        let device = Arc::clone(&self.device);
        let names = tokio::task::spawn_blocking(move || held::names(&device.processes)).await;
        let marked = |name: ResourceName| (Claim::Process(name.clone()), name, ProcessRecord::default());
        names.unwrap_or_default().into_iter().map(marked).collect()
    }

    async fn observe(
        &self,
        targets: &[Target<ProcessSpec, ProcessRecord>],
    ) -> Vec<Result<ProcessObservation, Failure>> {
        if targets.is_empty() {
            self.device.supervision.keep(&[]);
            return Vec::new();
        }
        let names: Vec<Option<ResourceName>> =
            targets.iter().map(|target| name_of(&target.claim).cloned()).collect();
        let (device, looked_for) = (Arc::clone(&self.device), names.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let look = |name: &Option<ResourceName>| {
                let name = name.as_ref().ok_or_else(failures::wrong_claim)?;
                look(&device.folder(name)).map(|found| (name.clone(), found))
            };
            looked_for.iter().map(look).collect::<Vec<_>>()
        });
        let looked = match looked.await {
            Ok(looked) => looked,
            Err(error) => return vec![Err(failures::interrupted(&error)); targets.len()],
        };
        self.device.supervision.keep(&names);
        let observed = targets.iter().zip(looked);
        observed
            .map(|(target, looked)| {
                let (name, found) = looked?;
                observe::observe(&self.device, target, &name, found)
            })
            .collect()
    }

    fn plan(
        target: &Target<ProcessSpec, ProcessRecord>,
        observed: &ProcessObservation,
    ) -> Plan<ProcessStep, ProcessRecord> {
        match &target.goal {
            Goal::Present { spec, digest } => plan::establish(spec, digest, target.record.as_ref(), observed),
            Goal::Absent => plan::undo(target.record.as_ref(), observed),
        }
    }

    async fn apply(
        &self,
        target: &Target<ProcessSpec, ProcessRecord>,
        step: &ProcessStep,
    ) -> Result<(), Failure> {
        let name = name_of(&target.claim).ok_or_else(failures::wrong_claim)?;
        apply::apply(&self.device, name, target, step).await
    }

    /// What is kept of a process is cleared away by its last step.
    async fn release(&self, _dropped: &[ProcessRecord], _kept: &[ProcessRecord]) {}

    async fn log_tail(&self, target: &Target<ProcessSpec, ProcessRecord>) -> Option<String> {
        let (Some(name), Goal::Present { spec, digest }) = (name_of(&target.claim), &target.goal) else {
            return None;
        };
        let (device, folder) = (Arc::clone(&self.device), self.device.folder(name));
        let (spec, digest) = (Arc::clone(spec), digest.to_string());
        let read = move || held::log_tail(&folder, &digest, &spec.env, &*device.unsealer);
        tokio::task::spawn_blocking(read).await.ok()?
    }

    fn wakes(&self) -> impl Stream<Item = Claim> + Send + 'static {
        workload::wakes(Arc::clone(&self.device.wakes)).map(Claim::Process)
    }
}

fn name_of(claim: &Claim) -> Option<&ResourceName> {
    match claim {
        Claim::Process(name) => Some(name),
        _ => None,
    }
}
