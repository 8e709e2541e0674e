//! `SystemdUnit`: a unit of systemd, with its file, its drop-ins, and whether it runs.
//!
//! ```text
//! observe ─ files below /etc/systemd/system, systemd over D-Bus ─▶ SystemdUnitObservation
//! plan    ─ pure                                                ─▶ steps, record
//! apply   ─ judge, write, restore | enable, reload | start, restart, stop: asked for, not waited for
//! wakes   ◀ systemd's signals
//! ```
//!
//! No step waits for a unit to start or to stop: how that comes out is found by a later pass, which systemd's
//! signal wakes.

mod apply;
mod failures;
mod files;
mod judging;
mod listening;
mod observation;
mod observe;
mod originals;
mod plan;
mod record;
mod step;
mod systemd;
mod wakes;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use agent_model::{
    AgentId, Claim, Digest, Failure, Goal, Plan, Reconciler, ResourceKind, ResourceName, ResourceSpec,
    SystemdUnitSpec, Target, UnitName,
};
use futures_core::Stream;

pub use observation::SystemdUnitObservation;
pub use record::SystemdUnitRecord;
pub use step::SystemdUnitStep;

use files::UnitFolder;
use listening::Listening;
use originals::Originals;
use wakes::Wakes;

/// Where units are written. systemd looks for them there whatever root the paths of documents have.
const FOLDER: &str = "/etc/systemd/system";

/// How units are reconciled.
#[derive(Debug, Clone)]
pub struct SystemdUnitReconcilerSettings {
    /// Who marks what is written.
    pub agent: AgentId,
    /// The folder for what files replaced, and for those that are being judged; created with mode 0700 when
    /// first needed, in a folder that exists.
    pub originals: PathBuf,
}

/// Reconciles units of systemd.
#[derive(Debug)]
pub struct SystemdUnitReconciler {
    device: Arc<Device>,
}

/// What the work is done on.
#[derive(Debug)]
struct Device {
    folder: UnitFolder,
    originals: Originals,
    listening: Listening,
    wakes: Arc<Wakes>,
    /// All units of the last pass.
    declared: Mutex<Vec<Arc<SystemdUnitSpec>>>,
    /// Where files are judged, by one at a time.
    staging: PathBuf,
    judging: tokio::sync::Mutex<()>,
    /// How often something was written that systemd has to read.
    written: AtomicU64,
    /// How much of that it has read; `None` where it was never asked to.
    read: tokio::sync::Mutex<Option<u64>>,
}

impl Device {
    fn declared(&self) -> MutexGuard<'_, Vec<Arc<SystemdUnitSpec>>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SystemdUnitReconciler {
    /// A reconciler of this device's units. Nothing is asked of systemd before a document declares one.
    pub fn new(settings: SystemdUnitReconcilerSettings) -> Self {
        let SystemdUnitReconcilerSettings { agent, originals } = settings;
        let device = Device {
            folder: UnitFolder::new(FOLDER.into(), agent),
            staging: originals.join("judged"),
            originals: Originals::in_folder(originals),
            listening: Listening::default(),
            wakes: Arc::new(Wakes::default()),
            declared: Mutex::default(),
            judging: tokio::sync::Mutex::default(),
            written: AtomicU64::new(0),
            read: tokio::sync::Mutex::default(),
        };
        Self { device: Arc::new(device) }
    }
}

impl Reconciler for SystemdUnitReconciler {
    type Spec = SystemdUnitSpec;
    type Record = SystemdUnitRecord;
    type Observation = SystemdUnitObservation;
    type Step = SystemdUnitStep;

    const KIND: ResourceKind = ResourceKind::SystemdUnit;

    fn spec_of(spec: &ResourceSpec) -> Option<Arc<SystemdUnitSpec>> {
        match spec {
            ResourceSpec::SystemdUnit(spec) => Some(Arc::clone(spec)),
            _ => None,
        }
    }

    async fn marked(&self) -> Vec<(Claim, ResourceName, SystemdUnitRecord)> {
        let device = Arc::clone(&self.device);
        tokio::task::spawn_blocking(move || device.folder.all_marked()).await.unwrap_or_default()
    }

    async fn observe(
        &self,
        targets: &[Target<SystemdUnitSpec, SystemdUnitRecord>],
    ) -> Vec<Result<SystemdUnitObservation, Failure>> {
        observe::observe(&self.device, targets).await
    }

    fn plan(
        target: &Target<SystemdUnitSpec, SystemdUnitRecord>,
        observed: &SystemdUnitObservation,
    ) -> Plan<SystemdUnitStep, SystemdUnitRecord> {
        let record = target.record.as_ref();
        match (&target.goal, claimed_unit(&target.claim)) {
            (Goal::Present { spec, digest }, _) => plan::establish(spec, *digest, record, observed),
            (Goal::Absent, Ok(unit)) => plan::undo(unit, record, observed),
            (Goal::Absent, Err(failure)) => Plan::blocked(record.cloned(), failure),
        }
    }

    async fn apply(
        &self,
        target: &Target<SystemdUnitSpec, SystemdUnitRecord>,
        step: &SystemdUnitStep,
    ) -> Result<(), Failure> {
        apply::apply(&self.device, target, step).await
    }

    async fn release(&self, dropped: &[SystemdUnitRecord], kept: &[SystemdUnitRecord]) {
        let originals = |records: &[SystemdUnitRecord]| -> BTreeSet<Digest> {
            let files = records.iter().flat_map(|record| record.files.values());
            files.filter_map(|file| file.original).map(|original| original.content).collect()
        };
        let needed = originals(kept);
        let released: BTreeSet<Digest> = originals(dropped).difference(&needed).copied().collect();
        if released.is_empty() {
            return;
        }
        let device = Arc::clone(&self.device);
        if let Err(error) = tokio::task::spawn_blocking(move || device.originals.drop_all(&released)).await {
            tracing::warn!(%error, "originals that nothing needs may stay on disk");
        }
    }

    fn wakes(&self) -> impl Stream<Item = Claim> + Send + 'static {
        wakes::wakes(Arc::clone(&self.device.wakes))
    }
}

/// The version of the systemd that manages this device's units.
///
/// # Errors
/// Why there is none, or none that can be reached.
pub async fn systemd_version() -> Result<String, Failure> {
    if !observe::is_booted() {
        return Err(failures::not_booted());
    }
    systemd::Systemd::connect().await?.version().await
}

/// The unit that a target is about.
fn claimed_unit(claim: &Claim) -> Result<&UnitName, Failure> {
    match claim {
        Claim::SystemdUnit(unit) => Ok(unit),
        _ => Err(failures::wrong_claim()),
    }
}
