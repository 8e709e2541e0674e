//! `Container`: a container in the device's runtime (podman or docker), which outlives the agent and is started
//! again by it alone.
//!
//! ```text
//! observe ─ list, inspect, health  ─▶ ContainerObservation
//! plan    ─ pure                   ─▶ steps, record
//! apply   ─ pull | create | start | stop | rename | remove, over the runtime's socket
//! wakes   ◀ the runtime's events, the end of a pull or a stop, what its probes say
//! ```
//!
//! Labels say which agent made a container, for which resource and for which effective digest. So what runs is
//! adopted by whichever agent of that id comes next, and nothing without those labels is ever touched.

mod apply;
mod bind_source;
mod connection;
mod creation;
mod credentials;
mod engine;
mod events;
mod failures;
mod labels;
mod log_tail;
mod memory;
mod observation;
mod observe;
mod plan;
mod pull_failures;
mod pulled_images;
mod pulling;
mod record;
mod socket;
mod socket_appears;
mod step;
mod stopping;
mod supervision;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use agent_model::{
    AgentId, Claim, ContainerSpec, Failure, Goal, Plan, Reconciler, ResourceKind, ResourceName, ResourceSpec,
    Target, Unsealer,
};
use futures_core::Stream;
use futures_util::{StreamExt, future::join_all};

pub use credentials::registry_logins;
pub use engine::{Abilities as ContainerRuntime, probe_container_runtime};
pub use observation::ContainerObservation;
pub use record::ContainerRecord;
pub use socket::container_sockets;
pub use step::ContainerStep;

use engine::Engine;
use events::Events;
use memory::{Ends, NotStarted};
use observe::Listed;
use pulled_images::{MARGIN, PulledImages};
use pulling::Pulls;
use stopping::Stops;
use supervision::Supervision;

use crate::workload::{Wakes, wakes};

/// How containers are made on this device.
#[derive(Debug, Clone)]
pub struct ContainerReconcilerSettings {
    /// Whose containers they are.
    pub agent: AgentId,
    /// The sockets of runtimes; the first that is there is used ([`container_sockets`]).
    pub sockets: Vec<PathBuf>,
    /// Files with logins for registries ([`registry_logins`]).
    pub logins: Vec<PathBuf>,
    /// The file that notes which images were pulled, in a folder that exists.
    pub pulled_images: PathBuf,
    /// How long an image stays that was pulled and that nobody uses.
    pub images_kept_for: Duration,
    /// What no container may see of the device.
    pub protected: Vec<PathBuf>,
    /// Whether a container runs that cannot be held to its limits here.
    pub tolerates_unenforceable_limits: bool,
    /// What opens sealed variables.
    pub unsealer: Arc<dyn Unsealer>,
}

/// Reconciles containers.
#[derive(Debug)]
pub struct ContainerReconciler {
    device: Arc<Device>,
}

/// What the work is done with.
#[derive(Debug)]
struct Device {
    agent: AgentId,
    boot: String,
    protected: Vec<PathBuf>,
    tolerates_unenforceable_limits: bool,
    unsealer: Arc<dyn Unsealer>,
    engine: Arc<Engine>,
    images: Arc<PulledImages>,
    pulls: Pulls,
    stops: Stops,
    events: Events,
    supervision: Supervision,
    not_started: NotStarted,
    ends: Ends,
    declared_images: std::sync::Mutex<BTreeSet<String>>,
    wakes: Arc<Wakes>,
}

impl Device {
    /// Removes images that this agent pulled and nobody uses: those whose time is over, or all where space is
    /// short.
    async fn collect_images(&self, is_short: bool) {
        let Ok(listed) = Listed::read(&self.engine).await else { return };
        let declared = self.declared_images.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let declared = declared.iter().map(String::as_str).collect();
        let due = self.images.used(&listed.images(), &declared, is_short);
        self.images.remove(due).await;
    }
}

impl ContainerReconciler {
    /// A reconciler of the containers of one agent. Nothing is asked of a runtime before something is declared.
    pub fn new(settings: ContainerReconcilerSettings) -> Self {
        let ContainerReconcilerSettings {
            agent,
            sockets,
            logins,
            pulled_images,
            images_kept_for,
            protected,
            tolerates_unenforceable_limits,
            unsealer,
        } = settings;
        let wakes = Arc::new(Wakes::default());
        let engine = Arc::new(Engine::new(sockets));
        let images = Arc::new(PulledImages::new(Arc::clone(&engine), pulled_images, images_kept_for));
        let device = Device {
            boot: process_shim::boot_id().unwrap_or_default(),
            protected,
            tolerates_unenforceable_limits,
            unsealer,
            pulls: Pulls::new(Arc::clone(&engine), Arc::clone(&wakes), logins, Arc::clone(&images)),
            stops: Stops::new(Arc::clone(&engine), Arc::clone(&wakes)),
            events: Events::new(agent.clone(), Arc::clone(&engine), Arc::clone(&wakes)),
            supervision: Supervision::new(Arc::clone(&engine), Arc::clone(&wakes)),
            not_started: NotStarted::default(),
            ends: Ends::default(),
            declared_images: std::sync::Mutex::default(),
            agent,
            engine,
            images,
            wakes,
        };
        Self { device: Arc::new(device) }
    }

    /// What is left to do besides, where it is time for that: images are removed by a task of their own, for which
    /// no pass waits.
    fn collect_images(&self, targets: &[Target<ContainerSpec, ContainerRecord>]) {
        let declared = targets.iter().filter_map(|target| match &target.goal {
            Goal::Present { spec, .. } => Some(spec.image.to_string()),
            Goal::Absent => None,
        });
        *self.device.declared_images.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            declared.collect();
        if !self.device.images.is_time() {
            return;
        }
        let device = Arc::clone(&self.device);
        tokio::spawn(async move {
            let Ok(abilities) = device.engine.abilities().await else { return };
            let free = abilities.storage.as_deref().and_then(apply::free);
            device.collect_images(free.is_some_and(|free| free < MARGIN)).await;
        });
    }
}

impl Reconciler for ContainerReconciler {
    type Spec = ContainerSpec;
    type Record = ContainerRecord;
    type Observation = ContainerObservation;
    type Step = ContainerStep;

    const KIND: ResourceKind = ResourceKind::Container;

    fn spec_of(spec: &ResourceSpec) -> Option<Arc<ContainerSpec>> {
        match spec {
            ResourceSpec::Container(spec) => Some(Arc::clone(spec)),
            _ => None,
        }
    }

    async fn marked(&self) -> Vec<(Claim, ResourceName, ContainerRecord)> {
        if self.device.engine.client().is_err() {
            return Vec::new();
        }
        let marked = match Listed::read(&self.device.engine).await {
            Ok(listed) => listed.marked(&self.device),
            Err(refusal) => {
                let failure = refusal.into_failure("list its containers");
                tracing::warn!(%failure, "containers of this agent cannot be looked for");
                return Vec::new();
            }
        };
        let marked = marked.into_iter();
        marked.map(|name| (Claim::Container(name.clone()), name, ContainerRecord::default())).collect()
    }

    async fn observe(
        &self,
        targets: &[Target<ContainerSpec, ContainerRecord>],
    ) -> Vec<Result<ContainerObservation, Failure>> {
        let device = &self.device;
        let names: Result<Vec<ResourceName>, Failure> =
            targets.iter().map(|target| name_of(&target.claim).cloned()).collect();
        let names = match names {
            Ok(names) => names,
            Err(failure) => return vec![Err(failure); targets.len()],
        };
        let known: BTreeSet<ResourceName> = names.iter().cloned().collect();
        device.not_started.keep(&known);
        // Before anything is looked at, so that nothing falls between the look and the watch.
        device.events.watch(known);
        self.collect_images(targets);
        if targets.is_empty() {
            device.pulls.keep(&Default::default());
            device.supervision.keep(&BTreeSet::new());
            return Vec::new();
        }
        let listed = match Listed::read(&device.engine).await {
            Ok(listed) => listed,
            Err(refusal) => return vec![Err(refusal.into_failure("list its containers")); targets.len()],
        };
        let looks = observe::look(device, &listed, &names).await;
        let completed = targets.iter().zip(&names).zip(looks).map(|((target, name), look)| async move {
            observe::complete(device, target, name, look?).await
        });
        let observed: Vec<Result<ContainerObservation, Failure>> = join_all(completed).await;
        let seen = targets.iter().zip(&names).zip(&observed);
        let seen =
            seen.filter_map(|((target, name), observed)| Some((target, name, observed.as_ref().ok()?)));
        device.pulls.keep(&observe::awaited(seen.clone()));
        let running = seen.filter(|(_, _, observed)| observed.is_running()).map(|(_, name, _)| name.clone());
        device.supervision.keep(&running.collect());
        observed
    }

    fn plan(
        target: &Target<ContainerSpec, ContainerRecord>,
        observed: &ContainerObservation,
    ) -> Plan<ContainerStep, ContainerRecord> {
        match &target.goal {
            Goal::Present { spec, digest } => plan::establish(spec, digest, target.record.as_ref(), observed),
            Goal::Absent => plan::undo(target.record.as_ref(), observed),
        }
    }

    async fn apply(
        &self,
        target: &Target<ContainerSpec, ContainerRecord>,
        step: &ContainerStep,
    ) -> Result<(), Failure> {
        apply::apply(&self.device, name_of(&target.claim)?, target, step).await
    }

    /// What is kept of a container is in the runtime, and removed by its last step.
    async fn release(&self, _dropped: &[ContainerRecord], _kept: &[ContainerRecord]) {}

    async fn log_tail(&self, target: &Target<ContainerSpec, ContainerRecord>) -> Option<String> {
        let Goal::Present { spec, digest } = &target.goal else { return None };
        log_tail::log_tail(&self.device, name_of(&target.claim).ok()?, spec, digest).await
    }

    fn wakes(&self) -> impl Stream<Item = Claim> + Send + 'static {
        wakes(Arc::clone(&self.device.wakes)).map(Claim::Container)
    }
}

fn name_of(claim: &Claim) -> Result<&ResourceName, Failure> {
    match claim {
        Claim::Container(name) => Ok(name),
        _ => Err(failures::wrong_claim()),
    }
}
