//! `File`: a regular file with exactly the declared content, mode and owner.
//!
//! ```text
//! observe ─ walk to the folder, watch it, stat, hash if need be ─▶ FileObservation
//! plan    ─ pure                                                ─▶ steps, record
//! apply   ─ keep the original, replace atomically, restore
//! wakes   ◀ inotify, without what we did ourselves
//! ```

mod apply;
mod content;
mod failures;
mod observation;
mod observe;
mod originals;
mod plan;
mod principals;
mod protected;
mod record;
mod replace;
mod sightings;
mod stamp;
mod step;
#[cfg(test)]
mod tests;
mod wakes;
mod walk;
mod watcher;

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::SystemTime,
};

use agent_model::{
    Claim, Failure, FileSpec, Goal, Plan, Reconciler, ResourceKind, ResourceSpec, Target, TargetPath,
    Unsealer,
};
use futures_core::Stream;
use inotify::Inotify;

pub use observation::FileObservation;
pub use record::FileRecord;
pub use step::FileStep;

use originals::Originals;
use protected::Protection;
use sightings::Sightings;
use watcher::Watcher;

/// Where files are reconciled, and where never.
#[derive(Debug, Clone)]
pub struct FileReconcilerSettings {
    /// The folder that all declared paths start in; `/` on a device.
    pub root: PathBuf,
    /// The folder for what was there before; created with mode 0700 when first needed, in a folder
    /// that exists.
    pub originals: PathBuf,
    /// The agent's own files and folders, existing or not: neither they nor anything below them
    /// is ever altered, whatever path or link leads there.
    pub protected: Vec<PathBuf>,
    /// What opens sealed contents.
    pub unsealer: Arc<dyn Unsealer>,
}

/// Reconciles files.
#[derive(Debug)]
pub struct FileReconciler {
    device: Arc<Device>,
}

/// What the blocking work is done on.
#[derive(Debug)]
struct Device {
    root: PathBuf,
    protection: Protection,
    originals: Originals,
    sightings: Sightings,
    watcher: Watcher,
    unsealer: Arc<dyn Unsealer>,
    /// Read by whoever writes a file, written by whoever removes empty folders: no folder goes
    /// while a file is on its way into it.
    folders: RwLock<()>,
}

impl FileReconciler {
    /// A reconciler of the files below the settings' root. Where the system has no means left to
    /// watch files, that is logged, and drift is found by the next pass only.
    pub fn new(settings: FileReconcilerSettings) -> Self {
        Self::with(settings, SystemTime::now, Inotify::init())
    }

    fn with(
        settings: FileReconcilerSettings,
        clock: fn() -> SystemTime,
        inotify: io::Result<Inotify>,
    ) -> Self {
        let FileReconcilerSettings { root, originals, protected, unsealer } = settings;
        let device = Device {
            protection: Protection::new(root.clone(), protected),
            root,
            originals: Originals::in_folder(originals),
            sightings: Sightings::new(clock),
            watcher: Watcher::new(inotify),
            unsealer,
            folders: RwLock::new(()),
        };
        Self { device: Arc::new(device) }
    }
}

impl Reconciler for FileReconciler {
    type Spec = FileSpec;
    type Record = FileRecord;
    type Observation = FileObservation;
    type Step = FileStep;

    const KIND: ResourceKind = ResourceKind::File;

    fn spec_of(spec: &ResourceSpec) -> Option<Arc<FileSpec>> {
        match spec {
            ResourceSpec::File(spec) => Some(Arc::clone(spec)),
            _ => None,
        }
    }

    async fn observe(
        &self,
        targets: &[Target<FileSpec, FileRecord>],
    ) -> Vec<Result<FileObservation, Failure>> {
        let questions = match observe::questions(targets) {
            Ok(questions) => questions,
            Err(failure) => return vec![Err(failure); targets.len()],
        };
        let device = Arc::clone(&self.device);
        let answers = tokio::task::spawn_blocking(move || observe::answer(&device, &questions)).await;
        answers.unwrap_or_else(|error| vec![Err(failures::interrupted(&error)); targets.len()])
    }

    fn plan(target: &Target<FileSpec, FileRecord>, observed: &FileObservation) -> Plan<FileStep, FileRecord> {
        plan::plan(target, observed)
    }

    async fn apply(&self, target: &Target<FileSpec, FileRecord>, step: &FileStep) -> Result<(), Failure> {
        let declared = match &target.goal {
            Goal::Present { spec, .. } => Some(spec.content.clone()),
            Goal::Absent => None,
        };
        let (device, step) = (Arc::clone(&self.device), step.clone());
        tokio::task::spawn_blocking(move || apply::apply(&device, &step, declared.as_ref()))
            .await
            .unwrap_or_else(|error| Err(failures::interrupted(&error)))
    }

    async fn release(&self, dropped: &[FileRecord], kept: &[FileRecord]) {
        let digest = |record: &FileRecord| record.contents().original.map(|original| original.digest);
        let needed: HashSet<_> = kept.iter().filter_map(digest).collect();
        let released: HashSet<_> =
            dropped.iter().filter_map(digest).filter(|it| !needed.contains(it)).collect();
        if released.is_empty() {
            return;
        }
        let device = Arc::clone(&self.device);
        let dropping = move || released.into_iter().for_each(|original| device.originals.drop(original));
        if let Err(error) = tokio::task::spawn_blocking(dropping).await {
            tracing::warn!(%error, "originals that nothing needs may stay on disk");
        }
    }

    fn wakes(&self) -> impl Stream<Item = Claim> + Send + 'static {
        wakes::wakes(Arc::clone(&self.device))
    }
}

/// The path that a target is about.
fn claimed_path(claim: &Claim) -> Result<&TargetPath, Failure> {
    match claim {
        Claim::File(path) => Ok(path),
        _ => Err(failures::wrong_kind(claim)),
    }
}
