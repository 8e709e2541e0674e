//! Containers: real ones, in a real runtime that each test has to itself.

/// Makes a test of each scenario with each runtime.
macro_rules! with_each_runtime {
    ($($scenario:ident),+ $(,)?) => {
        with_each_runtime!(on_podman, Podman: $($scenario),+);
        with_each_runtime!(on_docker, Docker: $($scenario),+);
    };
    ($module:ident, $kind:ident: $($scenario:ident),+) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $scenario() {
                    super::$scenario(tests::container_runtime::Kind::$kind).await;
                }
            )+
        }
    };
}

mod as_declared;
mod crash_loop;
mod full_disk;
mod hostile;
mod images;
mod outliving;
mod power_cut;
mod probes;
mod replacing;
mod rollback;
mod runtime_gone;
mod strangers;
mod upkeep;

use agent_model::status::AgentStatus;
use serde_json::{Value, json};
use tests::{
    agent::Agent,
    container_runtime::{ContainerRuntime, Kind},
    document::{container, container_script},
    site::{Access, Site},
};

/// A server, a container runtime, and a device with both whose agent runs.
pub(super) struct Stage {
    // In this order: an agent must not miss its runtime before it ends.
    pub(super) device: Agent,
    pub(super) runtime: ContainerRuntime,
    pub(super) site: Site,
}

impl Stage {
    pub(super) async fn set() -> Self {
        Self::set_with(|device| device).await
    }

    /// The same with a runtime of that kind.
    pub(super) async fn set_on(kind: Kind) -> Self {
        Self::set_on_with(kind, |device| device).await
    }

    /// The same with a device that is set up before its agent starts.
    pub(super) async fn set_with(set_up: impl FnOnce(Agent) -> Agent) -> Self {
        Self::set_on_with(Kind::Podman, set_up).await
    }

    /// The same with both.
    pub(super) async fn set_on_with(kind: Kind, set_up: impl FnOnce(Agent) -> Agent) -> Self {
        let (site, runtime) =
            tokio::join!(Site::start(Access::Restricted), ContainerRuntime::start_kind(kind));
        let mut device = set_up(runtime.on(site.device()));
        device.start();
        Self { device, runtime, site }
    }

    /// Puts a document with these resources.
    pub(super) async fn put(&self, generation: u64, resources: &[Value]) {
        self.site.platform.put(self.device.id(), &self.site.document(generation, resources)).await;
    }

    /// Waits for a status for which that holds.
    pub(super) async fn status(&self, what: &str, holds: impl Fn(&AgentStatus) -> bool) -> AgentStatus {
        self.site.platform.status_where(self.device.id(), what, holds).await
    }
}

/// A container that tells of each of its starts, ends when it is asked to, and is ready at once.
pub(super) fn web(mode: &str) -> Value {
    let mut web = container_script("web", tests::container_runtime::BOX, SCRIPT);
    web["spec"]["env"] = json!({"MODE": mode});
    web["spec"]["probes"] = json!({"startup": {"exec": {"command": ["true"]}, "interval": "1s"}});
    web
}

/// A shell as the first process of a container has to be told that SIGTERM is meant for it.
const SCRIPT: &str = "trap 'exit 0' TERM; echo started $MODE; while :; do sleep 1 & wait $!; done";

/// A container that sleeps.
pub(super) fn sleeper(name: &str) -> Value {
    let mut sleeper = container(name, tests::container_runtime::BOX);
    // Nothing of it listens to a signal but this.
    sleeper["spec"]["stopSignal"] = json!("SIGKILL");
    sleeper
}
