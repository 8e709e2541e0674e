//! A pass that finds everything as declared, beside a `stat` of each file.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use agent_core::{
    clock::Clock,
    executor::{DocumentPast, Executor, Inventory, Registry},
    policy::{Accounts, DevicePolicy, Policy, Rights},
    protected_paths::ProtectedPaths,
    secrets::DeviceSecrets,
};
use agent_model::{
    Declaration, DesiredState, DesiredStateBuilder, FileSpec, Goal, Principal, Reconciler, Resource, Target,
};
use reconcilers::{FileReconciler, FileReconcilerSettings, FileRecord};
use serde::Deserialize;
use tempfile::TempDir;

use crate::samples::{Comparison, Samples};

/// How many files there are.
pub(crate) const FILES: usize = 1000;
/// In how many folders they lie.
pub(crate) const FOLDERS: usize = 10;
/// How many samples of each are taken.
pub(crate) const ROUNDS: usize = 300;
const WARM_UP: usize = 20;
/// A file that changed later than two seconds ago is read again, as its times might not tell.
const UNTIL_SETTLED: Duration = Duration::from_secs(3);

/// The samples, and where the time goes.
#[derive(Default)]
pub(crate) struct NoopPass {
    pub(crate) comparison: Comparison,
    /// `Executor::prepare`, which does the next two and what joins them.
    pub(crate) prepare: Samples,
    /// Looking at the files.
    pub(crate) observe: Samples,
    /// Finding that there is nothing to do.
    pub(crate) plan: Samples,
    /// `Pass::run`: making the outcome.
    pub(crate) run: Samples,
}

pub(crate) async fn measure() -> NoopPass {
    let folder = TempDir::with_prefix("harmony-noop-pass-").unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let names: Vec<String> = (0..FILES).map(|n| format!("etc/app-{}/file-{n}.conf", n % FOLDERS)).collect();
    let paths: Vec<PathBuf> = names.iter().map(|name| root.join(name)).collect();
    let desired = desired(&names);
    let originals = folder.path().join("originals");
    let protected = ProtectedPaths::new(root.clone(), Vec::new());
    let settings = FileReconcilerSettings {
        root,
        originals,
        protected: Vec::new(),
        unsealer: Arc::new(DeviceSecrets::default()),
    };
    let registry = Registry::none().with(FileReconciler::new(settings.clone()));
    let policy = Arc::new(DevicePolicy::new(Policy::default(), protected, NoAccounts));
    let mut executor = Executor::new(registry, policy, 0);
    // One more, to see what it does apart from the executor.
    let reconciler = FileReconciler::new(settings);

    let created =
        executor.prepare(&desired, DocumentPast::default(), &Inventory::new(), Clock::system().now()).await;
    let mut inventory = created.run(|| false, ()).await.inventory;
    tokio::time::sleep(UNTIL_SETTLED).await;

    let converged = DocumentPast { signer: None, has_converged: true };
    // As the executor keeps them from one pass to the next.
    let targets = targets(&desired, &inventory);
    let mut measured = NoopPass::default();
    for round in 0..WARM_UP + ROUNDS {
        let start = Instant::now();
        for path in &paths {
            std::hint::black_box(fs::metadata(path).unwrap());
        }
        let floor = start.elapsed();

        let start = Instant::now();
        let observed = reconciler.observe(&targets).await;
        let observe = start.elapsed();
        let start = Instant::now();
        for (target, observed) in targets.iter().zip(&observed) {
            std::hint::black_box(FileReconciler::plan(target, observed.as_ref().unwrap()));
        }
        let plan = start.elapsed();

        let now = Clock::system().now();
        let start = Instant::now();
        let pass = executor.prepare(&desired, converged, &inventory, now).await;
        let prepare = start.elapsed();
        assert!(!pass.has_work(), "nothing changed, so there is nothing to do");
        let start = Instant::now();
        let outcome = pass.run(|| false, ()).await;
        let run = start.elapsed();
        assert!(outcome.is_converged());
        inventory = outcome.inventory;

        if round >= WARM_UP {
            measured.comparison.floor.push(floor);
            measured.comparison.subject.push(prepare + run);
            measured.prepare.push(prepare);
            measured.observe.push(observe);
            measured.plan.push(plan);
            measured.run.push(run);
        }
    }
    measured
}

/// Files run as nobody.
struct NoAccounts;

impl Accounts for NoAccounts {
    fn rights_of(&self, _: Option<&Principal>, _: Option<&Principal>) -> Result<Rights, String> {
        Err("nobody is looked up".to_owned())
    }

    fn group_of(&self, _: &str) -> Result<Option<u32>, String> {
        Err("no group is looked up".to_owned())
    }

    fn own_uid(&self) -> u32 {
        0
    }
}

/// All files as the executor hands them to the reconciler.
fn targets(desired: &DesiredState, inventory: &Inventory) -> Vec<Target<FileSpec, FileRecord>> {
    let target = |resource: &Resource| {
        let claim = resource.claim();
        let spec = FileReconciler::spec_of(&resource.spec).unwrap();
        let record = FileRecord::deserialize(inventory[&claim].record.as_ref()).unwrap();
        let goal = Goal::Present { spec, digest: desired.effective_digest(resource) };
        Target { claim, goal, record: Some(record) }
    };
    desired.resources().iter().map(target).collect()
}

fn desired(names: &[String]) -> DesiredState {
    let mut builder = DesiredStateBuilder::default();
    for (n, name) in names.iter().enumerate() {
        let file = FileSpec::new(format!("/{name}").parse().unwrap(), format!("number = {n}\n").as_str());
        builder.declare(Declaration::new("", format!("file-{n}").parse().unwrap(), file));
    }
    builder.finish().unwrap()
}
