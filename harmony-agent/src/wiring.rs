//! Which formats and which kinds this agent has: the lines to touch when there is one more.

use std::path::PathBuf;

use agent_core::{
    acceptance::Acceptance,
    clock::Clock,
    device::{Device, DeviceParts},
    dispatcher::Formats,
    executor::{Executor, Registry},
    ledger::Ledger,
    protected_paths::ProtectedPaths,
    state_dir::StateDir,
    status::{report::Reporter, snapshot::Snapshot},
};
use agent_manifest_v1::AgentManifestV1;
use agent_model::{AgentId, status::AgentInfo};
use reconcilers::{FileReconciler, FileReconcilerSettings};

use crate::{CommandError, facts};

/// The agent's own places besides its state folder, its binary and what it is configured with.
const OWN_PATHS: [&str; 3] = [
    "/etc/harmony-agent",
    "/etc/systemd/system/harmony-agent.service",
    "/etc/systemd/system/harmony-agent.service.d",
];

/// A device ready to work, and what feeds its loop.
pub(crate) struct Wired {
    pub(crate) device: Device,
    pub(crate) registry: Registry,
    /// Identifies this process among the writers of the status.
    pub(crate) instance: String,
}

/// Puts the parts together. `own_files` are further files that no document may claim.
pub(crate) fn wire(
    agent: &AgentId,
    state: &StateDir,
    root: PathBuf,
    own_files: Vec<PathBuf>,
) -> Result<Wired, CommandError> {
    std::fs::create_dir_all(&root).map_err(|source| CommandError::unusable_root(&root, &source))?;
    let layout = state.layout();
    let loaded = Ledger::load(layout, agent).map_err(CommandError::failed)?;
    let protected = own_paths(state, own_files);
    let protected = ProtectedPaths::new(root.clone(), protected);
    let formats = Formats::none().with(AgentManifestV1);
    let registry = Registry::none().with(FileReconciler::new(FileReconcilerSettings {
        root,
        originals: layout.originals(),
        protected: protected.paths().to_vec(),
    }));
    let clock = Clock::system();
    let facts = facts::device_facts();
    let info = AgentInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        formats: formats.advertised(),
        scores: Vec::new(),
        reconcilers: registry.kinds().map(|kind| kind.as_str().to_owned()).collect(),
        facts: facts.clone(),
        boot_id: facts::boot_id(),
        started_at: clock.now().wall,
    };
    let instance = uuid::Uuid::new_v4().to_string();
    let previous = Snapshot::read(layout).map(|snapshot| snapshot.status);
    let acceptance =
        Acceptance { agent: agent.clone(), formats, kinds: registry.kinds().collect(), protected, facts };
    let device = Device::new(DeviceParts {
        acceptance,
        executor: Executor::new(registry.clone(), rand::random()),
        loaded,
        reporter: Reporter::new(agent.clone(), instance.clone(), info, previous),
        clock,
    });
    Ok(Wired { device, registry, instance })
}

fn own_paths(state: &StateDir, own_files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = OWN_PATHS.iter().map(PathBuf::from).collect();
    paths.push(state.layout().path().to_owned());
    paths.extend(std::env::current_exe());
    paths.extend(own_files);
    paths
}
