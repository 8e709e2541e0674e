//! A reconciler whose device is a map from claims to contents, and a format for it: hand-written
//! fakes for tests of what lies around them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use agent_model::{
    AgentId, Claim, Declaration, DesiredState, DesiredStateBuilder, DeviceFacts, Failure, FileSpec, Goal,
    Invalid, Lowered, ManifestFormat, Plan, Principal, Reconciler, ResourceKind, ResourceSpec, SpecDocument,
    Standing, Step, Target, Timestamp,
    status::{AgentInfo, AgentStatus},
};
use futures_util::stream;
use semver::Version;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    acceptance::Acceptance,
    audit::AuditLog,
    clock::Clock,
    device::{DesiredValue, Device, DeviceParts},
    dispatcher::Formats,
    executor::{Executor, Registry},
    ledger::Ledger,
    policy::{Accounts, DevicePolicy, Policy, Rights},
    protected_paths::ProtectedPaths,
    secrets::DeviceSecrets,
    signing::Trust,
    state_dir::StateLayout,
    status::report::Reporter,
};

/// The device.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) contents: BTreeMap<Claim, String>,
    /// Paths whose writing fails.
    pub(crate) broken: BTreeSet<String>,
    /// What stands in the log of each.
    pub(crate) logs: BTreeMap<Claim, String>,
    /// Whether whoever asks for a log gets no answer.
    pub(crate) silent: bool,
    /// How long each writing takes.
    pub(crate) slow: Duration,
    /// Where the process crashes, `observe File:/a`, `apply File:/a` or `read File:/a`: it never gets any further.
    pub(crate) crashes: BTreeSet<String>,
    /// What was done, in order.
    pub(crate) done: Vec<String>,
    /// How many records were let go of.
    pub(crate) released: usize,
}

/// Reconciles files on a [`Disk`]. One of the content `needs /a` cannot be had before `/a` is there.
#[derive(Clone, Default)]
pub(crate) struct FakeReconciler(Arc<Mutex<Disk>>);

impl FakeReconciler {
    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    async fn crash_at(&self, place: String) {
        if self.disk().crashes.contains(&place) {
            std::future::pending().await
        }
    }
}

#[derive(Debug)]
pub(crate) struct Write(Option<String>);

impl Step for Write {
    fn summary(&self) -> String {
        "write".into()
    }

    fn alters_target(&self) -> bool {
        true
    }
}

impl Reconciler for FakeReconciler {
    type Spec = FileSpec;
    type Record = String;
    type Observation = Option<String>;
    type Step = Write;

    const KIND: ResourceKind = ResourceKind::File;

    fn spec_of(spec: &ResourceSpec) -> Option<Arc<FileSpec>> {
        match spec {
            ResourceSpec::File(file) => Some(Arc::clone(file)),
            _ => None,
        }
    }

    async fn observe(&self, targets: &[Target<FileSpec, String>]) -> Vec<Result<Option<String>, Failure>> {
        for target in targets {
            self.crash_at(format!("observe {}", target.claim)).await;
        }
        let disk = self.disk();
        let is_there =
            |path: &str| disk.contents.keys().any(|claim| claim.to_string() == format!("File:{path}"));
        let look = |target: &Target<FileSpec, String>| {
            if let Goal::Present { spec, .. } = &target.goal
                && let Some(path) =
                    String::from_utf8_lossy(spec.content.plain().unwrap().bytes()).strip_prefix("needs ")
                && !is_there(path)
            {
                return Err(Failure::passing("Missing", format!("{path} is not there")));
            }
            Ok(disk.contents.get(&target.claim).cloned())
        };
        targets.iter().map(look).collect()
    }

    fn plan(target: &Target<FileSpec, String>, observed: &Option<String>) -> Plan<Write, String> {
        let wanted = match &target.goal {
            Goal::Present { spec, .. } => {
                Some(String::from_utf8_lossy(spec.content.plain().unwrap().bytes()).into_owned())
            }
            Goal::Absent => None,
        };
        let then = if wanted.is_some() { Standing::in_sync() } else { Standing::Gone };
        if wanted == *observed {
            return Plan::nothing(wanted, then);
        }
        Plan { intent: Some("begun".into()), steps: vec![Write(wanted.clone())], record: wanted, then }
    }

    async fn apply(&self, target: &Target<FileSpec, String>, step: &Write) -> Result<(), Failure> {
        self.crash_at(format!("apply {}", target.claim)).await;
        let slow = self.disk().slow;
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let mut disk = self.disk();
        let path = target.claim.to_string();
        if disk.broken.contains(&path) {
            return Err(Failure::passing("Broken", format!("{path} is broken")));
        }
        match &step.0 {
            Some(content) => {
                disk.contents.insert(target.claim.clone(), content.clone());
                disk.done.push(format!("+{path}"));
            }
            None => {
                disk.contents.remove(&target.claim);
                disk.done.push(format!("-{path}"));
            }
        }
        Ok(())
    }

    async fn release(&self, dropped: &[String], _kept: &[String]) {
        self.disk().released += dropped.len();
    }

    async fn log_tail(&self, target: &Target<FileSpec, String>) -> Option<String> {
        self.crash_at(format!("read {}", target.claim)).await;
        if self.disk().silent {
            std::future::pending::<()>().await;
        }
        self.disk().logs.get(&target.claim).cloned()
    }

    fn wakes(&self) -> impl futures_util::Stream<Item = Claim> + Send + 'static {
        stream::pending()
    }
}

/// Resources `(name, path, content, depends on)`.
pub(crate) fn desired(resources: &[(&str, &str, &str, &[&str])]) -> DesiredState {
    desired_within(None, resources)
}

/// The same with a deadline.
fn desired_within(deadline: Option<Duration>, resources: &[(&str, &str, &str, &[&str])]) -> DesiredState {
    let mut builder = DesiredStateBuilder::default();
    deadline.into_iter().for_each(|deadline| builder.roll_back_after(deadline));
    for (name, path, content, depends_on) in resources {
        let file = FileSpec::new(path.parse().unwrap(), *content);
        builder.declare(Declaration {
            depends_on: depends_on.iter().map(|name| name.parse().unwrap()).collect(),
            ..Declaration::new("", name.parse().unwrap(), file)
        });
    }
    builder.finish().unwrap()
}

/// Reads a spec of the form `{"/path": "content"}`; `"deadline": 60`, in seconds, is the one for going back.
pub(crate) struct FakeFormat;

impl ManifestFormat for FakeFormat {
    fn kind(&self) -> &'static str {
        "Fake"
    }

    fn schema_versions(&self) -> Vec<Version> {
        vec![Version::new(1, 0, 0)]
    }

    fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
        let mut files =
            document.spec.as_object().cloned().ok_or_else(|| Invalid::at("/spec", "expected an object"))?;
        let deadline = files.remove("deadline").and_then(|seconds| seconds.as_u64());
        let names: Vec<String> =
            files.keys().map(|path| path.trim_start_matches('/').replace('/', "-")).collect();
        let files: Vec<_> = names
            .iter()
            .zip(&files)
            .map(|(name, (path, content))| {
                (name.as_str(), path.as_str(), content.as_str().unwrap_or(""), &[][..])
            })
            .collect();
        let state = desired_within(deadline.map(Duration::from_secs), &files);
        Ok(Lowered { state, ignored: Vec::new() })
    }
}

/// A device named `edge-1` on this disk and in this state folder, after a start of its agent.
pub(crate) fn device(
    fake: &FakeReconciler,
    folder: &TempDir,
    formats: Formats,
    previous: Option<AgentStatus>,
) -> Device {
    device_with(fake, folder, formats, previous, SteppedClock::default().clock(), Policy::default())
}

/// A wall clock that goes with tokio's, which tests may pause and advance, and that can be set.
#[derive(Clone)]
pub(crate) struct SteppedClock(Arc<Mutex<(Timestamp, tokio::time::Instant)>>);

impl Default for SteppedClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Timestamp::now(), tokio::time::Instant::now()))))
    }
}

impl SteppedClock {
    /// Sets it.
    pub(crate) fn set(&self, wall: Timestamp) {
        *self.0.lock().unwrap() = (wall, tokio::time::Instant::now());
    }

    /// The clock as a device has it.
    pub(crate) fn clock(&self) -> Clock {
        let set = self.0.clone();
        Clock::from_fn(move || {
            let (wall, at) = *set.lock().unwrap();
            wall.saturating_add(at.elapsed())
        })
    }
}

/// The same device with that clock and those rules.
pub(crate) fn device_with(
    fake: &FakeReconciler,
    folder: &TempDir,
    formats: Formats,
    previous: Option<AgentStatus>,
    clock: Clock,
    rules: Policy,
) -> Device {
    let agent: AgentId = "edge-1".parse().unwrap();
    let registry = Registry::none().with(fake.clone());
    let info = AgentInfo {
        version: "0".into(),
        formats: formats.advertised(),
        scores: Vec::new(),
        reconcilers: Vec::new(),
        facts: DeviceFacts::new(),
        sealing_key: None,
        boot_id: None,
        started_at: clock.now().wall,
    };
    let layout = StateLayout::of(folder.path());
    let loaded = Ledger::load(&layout, &agent).unwrap();
    let audit = AuditLog::open(&layout, loaded.ledger.body().audit_head(), clock.now().wall);
    Device::new(DeviceParts {
        acceptance: Acceptance {
            agent: agent.clone(),
            formats,
            kinds: registry.kinds().collect(),
            policy: policy(rules.clone()),
            facts: DeviceFacts::new(),
            trust: Trust::in_anybody(),
            unsealer: Arc::new(DeviceSecrets::default()),
        },
        executor: Executor::new(registry, policy(rules), 7),
        loaded,
        audit,
        reporter: Reporter::new(agent, "instance".into(), info, previous),
        clock,
    })
}

/// These rules on a device whose root has `/own` for the agent, and no users but root and `app`.
pub(crate) fn policy(rules: Policy) -> Arc<DevicePolicy> {
    let protected = ProtectedPaths::new("/".into(), vec!["/own".into()]);
    Arc::new(DevicePolicy::new(rules, protected, FakeAccounts))
}

/// Root, who runs the agent, and some users: `app`, `ops` who is in the group sudo, and `service` with a uid
/// that a document may also write as a number.
pub(crate) struct FakeAccounts;

impl Accounts for FakeAccounts {
    fn rights_of(&self, user: Option<&Principal>, group: Option<&Principal>) -> Result<Rights, String> {
        let (uid, groups): (u32, &[u32]) = match user.map(Principal::to_string).as_deref() {
            None | Some("root" | "0") => (0, &[0]),
            Some("app" | "1000") => (1000, &[1000]),
            Some("ops") => (1001, &[1001, 27]),
            Some(id) if id.parse::<u32>().is_ok() => (id.parse().unwrap(), &[]),
            Some(unknown) => return Err(format!("there is no user {unknown}")),
        };
        let more = match group.map(Principal::to_string).as_deref() {
            None => None,
            Some("0") => Some(0),
            Some("docker") => Some(999),
            Some(unknown) => return Err(format!("there is no group {unknown}")),
        };
        Ok(Rights { uid, groups: groups.iter().copied().chain(more).collect() })
    }

    fn group_of(&self, name: &str) -> Result<Option<u32>, String> {
        Ok(match name {
            "root" => Some(0),
            "sudo" => Some(27),
            "docker" => Some(999),
            _ => None,
        })
    }

    fn own_uid(&self) -> u32 {
        0
    }
}

/// An entry for `edge-1`.
pub(crate) fn document(generation: u64, spec: Value) -> DesiredValue {
    let document = json!({
        "apiVersion": "harmony/v1", "kind": "Fake", "schemaVersion": "1.0.0",
        "metadata": {"name": "edge-1", "generation": generation}, "spec": spec,
    });
    DesiredValue::Some { revision: generation, raw: document.to_string().into_bytes() }
}
