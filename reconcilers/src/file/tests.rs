//! The reconciler on real file systems, driven as the executor drives it.

mod paths;
mod taking_and_giving_back;
mod upkeep;
mod watching;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use agent_model::{
    Claim, FileSpec, Goal, Principal, ProcessSpec, Reconciler, ResourceKind, ResourceSpec, Standing, Step,
    Target, TargetPath,
};
use inotify::Inotify;
use tempfile::TempDir;

use super::{FileReconciler, FileReconcilerSettings, FileRecord};

/// A device with its own root, and a ledger in memory.
struct Rig {
    dir: TempDir,
    reconciler: FileReconciler,
    declared: BTreeMap<TargetPath, Arc<FileSpec>>,
    ledger: BTreeMap<TargetPath, FileRecord>,
}

/// The agent's own files on that device.
fn protected(dir: &TempDir) -> Vec<PathBuf> {
    ["state", "root/etc/agent/policy.toml", "root/usr/bin/agent"].map(|path| dir.path().join(path)).to_vec()
}

/// What a pass did about one claim.
#[derive(Debug)]
struct Outcome {
    /// The steps that were done.
    steps: Vec<String>,
    /// Whether one of them altered the target.
    altered: bool,
    then: Standing,
}

impl Outcome {
    /// The reason of its failure.
    fn failure(&self) -> &str {
        match &self.then {
            Standing::Failed(failure) => &failure.reason,
            other => panic!("expected a failure and found {other:?}"),
        }
    }

    fn is_ready(&self) -> bool {
        matches!(self.then, Standing::Ready { .. })
    }
}

impl Rig {
    fn new() -> Self {
        Self::with_clock(SystemTime::now)
    }

    /// On a clock that makes every file look as if it had not been touched for an hour.
    fn with_settled_files() -> Self {
        Self::with_clock(|| SystemTime::now() + Duration::from_secs(3600))
    }

    fn with_clock(clock: fn() -> SystemTime) -> Self {
        Self::with(clock, Inotify::init())
    }

    fn with(clock: fn() -> SystemTime, inotify: std::io::Result<Inotify>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["root", "state"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let settings = FileReconcilerSettings {
            root: dir.path().join("root"),
            originals: dir.path().join("state/originals"),
            protected: protected(&dir),
            unsealer: Arc::<crate::fake_unsealer::Transparent>::default(),
        };
        let reconciler = FileReconciler::with(settings, clock, inotify);
        Self { dir, reconciler, declared: BTreeMap::new(), ledger: BTreeMap::new() }
    }

    /// Another agent process on the same device.
    fn restart(&mut self) {
        let device = &self.reconciler.device;
        let settings = FileReconcilerSettings {
            root: device.root.clone(),
            originals: self.dir.path().join("state/originals"),
            protected: protected(&self.dir),
            unsealer: Arc::<crate::fake_unsealer::Transparent>::default(),
        };
        self.reconciler = FileReconciler::with(settings, device.sightings.clock, Inotify::init());
    }

    /// Where a declared path lies on the test's own device.
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(&path[1..])
    }

    fn put(&self, path: &str, content: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
    }

    fn mkdir(&self, path: &str) {
        fs::create_dir_all(self.at(path)).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, self.at(path)).unwrap();
    }

    fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.at(path)).unwrap().mode() & 0o7777
    }

    fn owner(&self, path: &str) -> (u32, u32) {
        let found = fs::symlink_metadata(self.at(path)).unwrap();
        (found.uid(), found.gid())
    }

    fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn originals(&self) -> usize {
        fs::read_dir(self.dir.path().join("state/originals")).map_or(0, Iterator::count)
    }

    fn declare(&mut self, path: &str, content: &str) {
        self.declare_as(path, content, |_| {});
    }

    fn declare_as(&mut self, path: &str, content: &str, adjust: impl FnOnce(&mut FileSpec)) {
        let mut spec = FileSpec::new(path.parse().unwrap(), content);
        adjust(&mut spec);
        self.declared.insert(spec.path.clone(), Arc::new(spec));
    }

    fn drop(&mut self, path: &str) {
        self.declared.remove(&path.parse().unwrap()).unwrap();
    }

    fn targets(&self) -> Vec<Target<FileSpec, FileRecord>> {
        let dropped = self.ledger.keys().filter(|path| !self.declared.contains_key(path));
        let goal = |path: &TargetPath| match self.declared.get(path) {
            Some(spec) => {
                Goal::Present { spec: Arc::clone(spec), digest: spec.content.plain().unwrap().digest() }
            }
            None => Goal::Absent,
        };
        // Dropped ones first, and the declared ones backwards: their order must not matter.
        dropped
            .chain(self.declared.keys().rev())
            .map(|path| Target {
                claim: Claim::File(path.clone()),
                goal: goal(path),
                record: self.ledger.get(path).cloned(),
            })
            .collect()
    }

    async fn pass(&mut self) -> BTreeMap<String, Outcome> {
        self.pass_until(usize::MAX).await
    }

    /// A pass in which the power goes after the first `until` steps of each claim.
    async fn pass_until(&mut self, until: usize) -> BTreeMap<String, Outcome> {
        let targets = self.targets();
        let observed = self.reconciler.observe(&targets).await;
        assert_eq!(observed.len(), targets.len());
        let mut outcomes = BTreeMap::new();
        for (target, observed) in targets.iter().zip(observed) {
            let Claim::File(path) = &target.claim else { panic!("{} is no file", target.claim) };
            let mut outcome = Outcome { steps: Vec::new(), altered: false, then: Standing::Gone };
            match observed {
                Err(failure) => outcome.then = Standing::Failed(failure),
                Ok(observed) => {
                    let plan = FileReconciler::plan(target, &observed);
                    self.set_record(path, plan.intent);
                    outcome.then = plan.then;
                    let mut whole = true;
                    for (index, step) in plan.steps.iter().enumerate() {
                        if index == until {
                            whole = false;
                            break;
                        }
                        if let Err(failure) = self.reconciler.apply(target, step).await {
                            outcome.then = Standing::Failed(failure);
                            whole = false;
                            break;
                        }
                        outcome.altered |= step.alters_target();
                        outcome.steps.push(step.summary());
                    }
                    if whole {
                        let dropped = self.ledger.remove(path);
                        self.set_record(path, plan.record);
                        if let (Some(dropped), false) = (dropped, self.ledger.contains_key(path)) {
                            let kept: Vec<_> = self.ledger.values().cloned().collect();
                            self.reconciler.release(&[dropped], &kept).await;
                        }
                    }
                }
            }
            outcomes.insert(path.to_string(), outcome);
        }
        outcomes
    }

    /// The ledger keeps records as JSON, so each of them takes that way here as well.
    fn set_record(&mut self, path: &TargetPath, record: Option<FileRecord>) {
        match record {
            Some(record) => {
                let text = serde_json::to_string(&record).unwrap();
                self.ledger.insert(path.clone(), serde_json::from_str(&text).unwrap());
            }
            None => {
                self.ledger.remove(path);
            }
        }
    }

    /// A pass about a single claim.
    async fn pass_one(&mut self) -> Outcome {
        let mut outcomes = self.pass().await;
        assert_eq!(outcomes.len(), 1);
        outcomes.pop_first().unwrap().1
    }

    fn hashed(&self) -> u64 {
        self.reconciler.device.sightings.hashed()
    }
}

/// The path of the temporary file of a path.
fn temporary_of(path: &str) -> String {
    let (folder, _) = path.rsplit_once('/').unwrap();
    format!("{folder}/{}", path.parse::<TargetPath>().unwrap().temporary_name())
}

fn own_ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// For tests that give files away.
fn assert_root() {
    assert_eq!(own_ids().0, 0, "this test must run as root");
}

fn give_away(path: &std::path::Path, uid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).unwrap();
}

fn named(name: &str) -> Option<Principal> {
    Some(name.parse().unwrap())
}

#[test]
fn the_reconciler_is_for_files() {
    assert_eq!(FileReconciler::KIND, ResourceKind::File);
    let process = ResourceSpec::from(ProcessSpec::new(vec!["/bin/app".into()]));
    assert!(FileReconciler::spec_of(&process).is_none());
}

#[tokio::test]
async fn a_claim_of_another_kind_fails_and_nothing_is_done_for_it() {
    let rig = Rig::new();
    let claim = Claim::Process("app".parse().unwrap());
    let target = Target { claim, goal: Goal::Absent, record: None };
    let observed = rig.reconciler.observe(std::slice::from_ref(&target)).await;
    assert!(matches!(&observed[..], [Err(failure)] if failure.reason == "WrongKind"));
}
