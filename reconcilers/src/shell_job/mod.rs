//! `ShellJob`: a script that runs to its end, at most once, isolated from the device.
//!
//! ```text
//! observe ─ records of the shim, history, what it needs ─▶ ShellJobObservation
//! plan    ─ pure                                        ─▶ steps, record
//! apply   ─ try the sandbox, note the start, start a shim | ask it to stop | note the end | clear away
//! wakes   ◀ the end of a shim (pidfd)
//! ```
//!
//! As a process it is held by `process-shim`, and outlives the agent. Unlike one it is run in a sandbox or not at all
//! ([`sandbox`]), and each start is noted before it ([`history`]).

mod apply;
mod failures;
mod history;
mod observation;
mod observe;
mod output;
mod plan;
mod record;
mod sandbox;
mod step;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use agent_model::{
    Claim, Failure, Goal, Plan, Reconciler, ResourceKind, ResourceName, ResourceSpec, ShellJobSpec, Target,
    Unsealer,
};
use futures_core::Stream;
use futures_util::StreamExt;
use process_shim::ProcessFolder;
use serde_json::Value;

pub use observation::ShellJobObservation;
pub use record::ShellJobRecord;
pub use sandbox::check_sandbox;
pub use step::ShellJobStep;

use crate::{
    held::{self, ControlGroups},
    workload::{self, Wakes},
};
use history::{History, Ledger};
use waiting::Waiting;

/// Where jobs are kept, and what they must not see.
#[derive(Debug, Clone)]
pub struct ShellJobReconcilerSettings {
    /// A folder for each job; created with mode 0700 when first needed, in a folder that exists.
    pub jobs: PathBuf,
    /// The file that says which jobs ran.
    pub history: PathBuf,
    /// The program `process-shim`.
    pub shim: PathBuf,
    /// The agent's own files and folders: hidden from jobs, and nothing that they can write in.
    pub own: Vec<PathBuf>,
    /// What opens sealed variables.
    pub unsealer: Arc<dyn Unsealer>,
}

/// Reconciles jobs.
#[derive(Debug)]
pub struct ShellJobReconciler {
    device: Arc<Device>,
}

/// What the work is done on.
#[derive(Debug)]
struct Device {
    jobs: PathBuf,
    shim: PathBuf,
    own: Vec<PathBuf>,
    unsealer: Arc<dyn Unsealer>,
    control_groups: ControlGroups,
    history: History,
    waiting: Waiting,
    wakes: Arc<Wakes>,
    /// What the jobs have printed that are over, by name, with the run: read once, and shown in each pass.
    outputs: Mutex<BTreeMap<ResourceName, (String, Value)>>,
}

impl Device {
    fn folder(&self, name: &ResourceName) -> ProcessFolder {
        ProcessFolder::of(self.jobs.join(name.as_str()))
    }

    /// What that run printed, read where it was not yet.
    fn output_of(&self, name: &ResourceName, run: &str, read: impl FnOnce() -> Value) -> Value {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        match outputs.get(name) {
            Some((of, output)) if of == run => output.clone(),
            _ => {
                let output = read();
                outputs.insert(name.clone(), (run.to_owned(), output.clone()));
                output
            }
        }
    }

    fn forget_output(&self, name: &ResourceName) {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// The file in which it is noted that a run was not needed.
fn skipped(folder: &ProcessFolder) -> PathBuf {
    folder.path().join("skipped")
}

impl ShellJobReconciler {
    /// A reconciler of the jobs in the settings' folder.
    pub fn new(settings: ShellJobReconcilerSettings) -> Self {
        let ShellJobReconcilerSettings { jobs, history, shim, own, unsealer } = settings;
        let wakes = Arc::new(Wakes::default());
        let device = Device {
            control_groups: ControlGroups::of(&jobs),
            history: History::of(history),
            waiting: Waiting::new(Arc::clone(&wakes)),
            jobs,
            shim,
            own,
            unsealer,
            wakes,
            outputs: Mutex::default(),
        };
        Self { device: Arc::new(device) }
    }
}

impl Reconciler for ShellJobReconciler {
    type Spec = ShellJobSpec;
    type Record = ShellJobRecord;
    type Observation = ShellJobObservation;
    type Step = ShellJobStep;

    const KIND: ResourceKind = ResourceKind::ShellJob;

    fn spec_of(spec: &ResourceSpec) -> Option<Arc<ShellJobSpec>> {
        match spec {
            ResourceSpec::ShellJob(spec) => Some(Arc::clone(spec)),
            _ => None,
        }
    }

    async fn marked(&self) -> Vec<(Claim, ResourceName, ShellJobRecord)> {
        let device = Arc::clone(&self.device);
        let names = tokio::task::spawn_blocking(move || held::names(&device.jobs)).await;
        let marked = |name: ResourceName| (Claim::ShellJob(name.clone()), name, ShellJobRecord::default());
        names.unwrap_or_default().into_iter().map(marked).collect()
    }

    fn ledger_was_lost(&self) {
        self.device.history.ledger_was_lost();
    }

    async fn observe(
        &self,
        targets: &[Target<ShellJobSpec, ShellJobRecord>],
    ) -> Vec<Result<ShellJobObservation, Failure>> {
        // What is declared next is judged by whether the history was there before it, so it is looked at all the same.
        if targets.is_empty() && self.device.history.forget_declared() {
            self.device.waiting.keep(&BTreeSet::new());
            return Vec::new();
        }
        let (device, looked_for) = (Arc::clone(&self.device), targets.to_vec());
        let looked = tokio::task::spawn_blocking(move || {
            let knows =
                looked_for.iter().any(|target| target.record.as_ref().is_some_and(|it| it.ran.is_some()));
            let ledger = if knows { Ledger::KnowsOfRuns } else { Ledger::KnowsOfNone };
            let history = device.history.look(observe::keys(&looked_for).collect(), ledger);
            let history = history.map_err(|error| failures::history_unreadable(&error));
            let look = |target: &Target<ShellJobSpec, ShellJobRecord>| {
                let name = name_of(&target.claim).ok_or_else(failures::wrong_claim)?;
                history.clone()?;
                observe::observe(&device, target, name)
            };
            looked_for.iter().map(look).collect::<Vec<_>>()
        });
        let looked = match looked.await {
            Ok(looked) => looked,
            Err(error) => return vec![Err(failures::interrupted(&error)); targets.len()],
        };
        let names: BTreeSet<ResourceName> =
            targets.iter().filter_map(|target| name_of(&target.claim).cloned()).collect();
        self.device.waiting.keep(&names);
        for (target, observed) in targets.iter().zip(&looked) {
            if let (Some(name), Ok(observed)) = (name_of(&target.claim), observed) {
                self.device.waiting.attend(name, &observed.found);
            }
        }
        looked
    }

    fn plan(
        target: &Target<ShellJobSpec, ShellJobRecord>,
        observed: &ShellJobObservation,
    ) -> Plan<ShellJobStep, ShellJobRecord> {
        match &target.goal {
            Goal::Present { spec, digest } => plan::establish(spec, digest, target.record.as_ref(), observed),
            Goal::Absent => plan::undo(target.record.as_ref(), observed),
        }
    }

    async fn apply(
        &self,
        target: &Target<ShellJobSpec, ShellJobRecord>,
        step: &ShellJobStep,
    ) -> Result<(), Failure> {
        let name = name_of(&target.claim).ok_or_else(failures::wrong_claim)?;
        apply::apply(&self.device, name, target, step).await
    }

    /// What is kept of a job is cleared away by its last step.
    async fn release(&self, _dropped: &[ShellJobRecord], _kept: &[ShellJobRecord]) {}

    async fn log_tail(&self, target: &Target<ShellJobSpec, ShellJobRecord>) -> Option<String> {
        let (Some(name), Goal::Present { spec, digest }) = (name_of(&target.claim), &target.goal) else {
            return None;
        };
        let (device, folder) = (Arc::clone(&self.device), self.device.folder(name));
        let (spec, digest) = (Arc::clone(spec), digest.to_string());
        let read = move || held::log_tail(&folder, &digest, &spec.env, &*device.unsealer);
        tokio::task::spawn_blocking(read).await.ok()?
    }

    fn wakes(&self) -> impl Stream<Item = Claim> + Send + 'static {
        workload::wakes(Arc::clone(&self.device.wakes)).map(Claim::ShellJob)
    }
}

fn name_of(claim: &Claim) -> Option<&ResourceName> {
    match claim {
        Claim::ShellJob(name) => Some(name),
        _ => None,
    }
}
