//! Puts the parts of the agent together. A further kind of resource is a line here.

use std::{path::PathBuf, sync::Arc};

use agent_core::{
    acceptance::Acceptance,
    audit::AuditLog,
    clock::Clock,
    device::{Device, DeviceParts},
    dispatcher::Formats,
    executor::{Executor, Registry},
    ledger::Ledger,
    pause::Pause,
    policy::{DevicePolicy, Tolerance},
    protected_paths::ProtectedPaths,
    secrets::DeviceSecrets,
    signing::Trust,
    state_dir::{StateDir, StateLayout},
    status::{report::Reporter, snapshot::Snapshot},
};
use agent_model::{AgentId, Unsealer, status::AgentInfo};
use reconcilers::{
    ContainerReconciler, ContainerReconcilerSettings, FileReconciler, FileReconcilerSettings,
    ProcessReconciler, ProcessReconcilerSettings, ShellJobReconciler, ShellJobReconcilerSettings,
    SystemdUnitReconciler, SystemdUnitReconcilerSettings,
};

use crate::{Agent, CommandError, accounts::DeviceAccounts, configuration::Ground, facts};

/// The agent's own places besides its state folder, its binary, its unit and what it is configured with: where
/// `deploy/README.md` puts things.
const OWN_PATHS: [&str; 3] = ["/etc/harmony-agent", "/usr/bin/harmony-agent", "/usr/libexec/harmony-agent"];

/// Where systemd looks for units (systemd.unit(5)).
const UNIT_FOLDERS: [&str; 7] = [
    "/etc/systemd/system",
    "/etc/systemd/system.control",
    "/lib/systemd/system",
    "/run/systemd/system",
    "/run/systemd/system.control",
    "/usr/lib/systemd/system",
    "/usr/local/lib/systemd/system",
];

/// The agent's unit there and the one that starts it, and what changes them: a drop-in may be for it alone, for all units whose names begin as
/// its own does, or for all services.
const UNIT_FILES: [&str; 6] = [
    "harmony-agent.service",
    "harmony-agent.service.d",
    "harmony-agent-enroll.service",
    "harmony-agent-enroll.service.d",
    "harmony-.service.d",
    "service.d",
];

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
    ground: Ground,
    trust: Trust,
) -> Result<Wired, CommandError> {
    let Ground { policy, root, own_files, containers, .. } = ground;
    std::fs::create_dir_all(&root).map_err(|source| CommandError::unusable_root(&root, &source))?;
    let layout = state.layout();
    let loaded = Ledger::load(layout, agent).map_err(CommandError::failed)?;
    let protected = ProtectedPaths::new(root.clone(), own_paths(layout, own_files));
    let writers_protect = protected.paths().to_vec();
    let tolerates_unenforceable_limits = policy.unenforceable_limits == Tolerance::Tolerated;
    let switches = policy.formats.clone();
    let policy = Arc::new(DevicePolicy::new(policy, protected, DeviceAccounts));
    // By the one name by which they are always known, whatever the folder was called this time.
    let real = StateLayout::of(layout.path().canonicalize().map_err(CommandError::failed)?);
    let secrets = Arc::new(DeviceSecrets::load_or_make(layout));
    let unsealer: Arc<dyn Unsealer> = secrets.clone();
    let registry = Registry::none()
        .with(ContainerReconciler::new(ContainerReconcilerSettings {
            agent: agent.clone(),
            sockets: containers.sockets,
            logins: containers.logins,
            pulled_images: layout.pulled_images(),
            images_kept_for: containers.images_kept_for,
            protected: writers_protect.clone(),
            tolerates_unenforceable_limits,
            unsealer: Arc::clone(&unsealer),
        }))
        .with(FileReconciler::new(FileReconcilerSettings {
            root,
            originals: layout.originals(),
            protected: writers_protect.clone(),
            unsealer: Arc::clone(&unsealer),
        }))
        .with(ProcessReconciler::new(ProcessReconcilerSettings {
            processes: real.processes(),
            shim: shim(),
            tolerates_unenforceable_limits,
            unsealer: Arc::clone(&unsealer),
        }))
        .with(ShellJobReconciler::new(ShellJobReconcilerSettings {
            jobs: real.jobs(),
            history: real.job_history(),
            shim: shim(),
            own: writers_protect,
            unsealer: Arc::clone(&unsealer),
        }))
        .with(SystemdUnitReconciler::new(SystemdUnitReconcilerSettings {
            agent: agent.clone(),
            originals: layout.units(),
        }));
    let (formats, scores) = program.reads(&switches, registry.kinds())?;
    let clock = Clock::system();
    let facts = facts::device_facts();
    let info = AgentInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        formats: formats.advertised(),
        scores,
        reconcilers: registry.kinds().map(|kind| kind.as_str().to_owned()).collect(),
        facts: facts.clone(),
        sealing_key: secrets.public().cloned(),
        boot_id: facts::boot_id(),
        started_at: clock.now().wall,
    };
    let instance = uuid::Uuid::new_v4().to_string();
    let previous = Snapshot::read(layout).map(|snapshot| snapshot.status);
    let acceptance = Acceptance {
        agent: agent.clone(),
        formats: formats.clone(),
        kinds: registry.kinds().collect(),
        policy: Arc::clone(&policy),
        facts,
        trust,
        unsealer,
    };
    let audit = AuditLog::open(layout, loaded.ledger.body().audit_head(), clock.now().wall);
    let mut device = Device::new(DeviceParts {
        acceptance,
        executor: Executor::new(registry.clone(), policy, rand::random()),
        loaded,
        audit: audit.clone(),
        reporter: Reporter::new(agent.clone(), instance.clone(), info, previous),
        clock,
    });
    device.take_marked(registry.marked().await);
    device.set_pause(Pause::read(layout));
    Ok(Wired { device, registry, audit, formats, instance })
}

/// All that is the agent's own, with the files that it is set up with.
pub(crate) fn own_paths(layout: &StateLayout, own_files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = OWN_PATHS.iter().map(PathBuf::from).collect();
    let units = |folder: &str| UNIT_FILES.map(|file| PathBuf::from(folder).join(file));
    paths.extend(UNIT_FOLDERS.into_iter().flat_map(units));
    paths.push(layout.path().to_owned());
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
