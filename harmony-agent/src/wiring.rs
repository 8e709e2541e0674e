//! Puts the parts of the agent together. A further kind of resource is a line here.

use std::path::PathBuf;

use agent_core::{
    acceptance::Acceptance,
    audit::AuditLog,
    clock::Clock,
    device::{Device, DeviceParts},
    dispatcher::Formats,
    executor::{Executor, Registry},
    ledger::Ledger,
    pause::Pause,
    protected_paths::ProtectedPaths,
    state_dir::{StateDir, StateLayout},
    status::{report::Reporter, snapshot::Snapshot},
};
use agent_model::{AgentId, status::AgentInfo};
use reconcilers::{FileReconciler, FileReconcilerSettings, ProcessReconciler, ProcessReconcilerSettings};

use crate::{Agent, CommandError, cli::ScorePermission, facts};

/// The agent's own places besides its state folder, its binary and what it is configured with: where
/// `deploy/README.md` puts things.
const OWN_PATHS: [&str; 5] = [
    "/etc/harmony-agent",
    "/etc/systemd/system/harmony-agent.service",
    "/etc/systemd/system/harmony-agent.service.d",
    "/usr/bin/harmony-agent",
    "/usr/libexec/harmony-agent",
];

/// What is configured of what is wired.
pub(crate) struct Settings {
    pub(crate) root: PathBuf,
    /// Further files that no document may claim.
    pub(crate) own_files: Vec<PathBuf>,
    pub(crate) scores: ScorePermission,
}

/// A device ready to work, and what feeds its loop.
pub(crate) struct Wired {
    pub(crate) device: Device,
    pub(crate) registry: Registry,
    /// What was done on it.
    pub(crate) audit: AuditLog,
    /// What it reads.
    pub(crate) formats: Formats,
    /// Identifies this process among the writers of the status.
    pub(crate) instance: String,
}

/// Puts the parts together.
pub(crate) async fn wire(
    program: Agent,
    agent: &AgentId,
    state: &StateDir,
    settings: Settings,
) -> Result<Wired, CommandError> {
    let Settings { root, own_files, scores } = settings;
    std::fs::create_dir_all(&root).map_err(|source| CommandError::unusable_root(&root, &source))?;
    let layout = state.layout();
    let loaded = Ledger::load(layout, agent).map_err(CommandError::failed)?;
    let protected = own_paths(state, own_files);
    let protected = ProtectedPaths::new(root.clone(), protected);
    let registry = Registry::none()
        .with(FileReconciler::new(FileReconcilerSettings {
            root,
            originals: layout.originals(),
            protected: protected.paths().to_vec(),
        }))
        .with(ProcessReconciler::new(ProcessReconcilerSettings {
            // By the one name by which it is always known, whatever it was called this time.
            processes: layout
                .path()
                .canonicalize()
                .map(|path| StateLayout::of(path).processes())
                .map_err(CommandError::failed)?,
            shim: shim(),
        }));
    let (formats, scores) = program.scores.join(program.formats, scores, registry.kinds());
    let clock = Clock::system();
    let facts = facts::device_facts();
    let info = AgentInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        formats: formats.advertised(),
        scores,
        reconcilers: registry.kinds().map(|kind| kind.as_str().to_owned()).collect(),
        facts: facts.clone(),
        boot_id: facts::boot_id(),
        started_at: clock.now().wall,
    };
    let instance = uuid::Uuid::new_v4().to_string();
    let previous = Snapshot::read(layout).map(|snapshot| snapshot.status);
    let acceptance = Acceptance {
        agent: agent.clone(),
        formats: formats.clone(),
        kinds: registry.kinds().collect(),
        protected,
        facts,
    };
    let audit = AuditLog::open(layout, loaded.ledger.body().audit_head(), clock.now().wall);
    let mut device = Device::new(DeviceParts {
        acceptance,
        executor: Executor::new(registry.clone(), rand::random()),
        loaded,
        audit: audit.clone(),
        reporter: Reporter::new(agent.clone(), instance.clone(), info, previous),
        clock,
    });
    device.take_marked(registry.marked().await);
    device.set_pause(Pause::read(layout));
    Ok(Wired { device, registry, audit, formats, instance })
}

fn own_paths(state: &StateDir, own_files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = OWN_PATHS.iter().map(PathBuf::from).collect();
    paths.push(state.layout().path().to_owned());
    paths.extend(std::env::current_exe());
    paths.push(shim());
    paths.extend(own_files);
    paths
}

/// The program `process-shim`: it lies beside this one.
pub(crate) fn shim() -> PathBuf {
    const NAME: &str = "process-shim";
    std::env::current_exe().map_or_else(|_| NAME.into(), |own| own.with_file_name(NAME))
}
