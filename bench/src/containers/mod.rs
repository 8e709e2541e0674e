//! Containers: how long until one is ready, beside the runtime's own work for it; and some of them left alone.
//!
//! ```text
//! put ──▶ agent ──▶ runtime's socket: create, start ──▶ probe ──▶ status: Ready
//!         floor ──▶ the same socket:  create, start
//! ```

mod bare_runtime;
mod report;
mod starting;

use agent_model::status::Phase;
use tests::{
    agent::Agent,
    container_runtime::{BOX, ContainerRuntime},
    document::{container, manifest},
    nats_server::{NatsServer, Settings},
    platform::{Platform, provision_all},
};

pub(crate) use report::words;
pub(crate) use starting::ROUNDS;

use crate::{idle, process_cost::AtRest, samples::Comparison};

/// How many containers the idle agent has.
pub(crate) const IDLE: usize = 10;
const IDLE_AGENT: &str = "edge-0002";

/// What was found.
pub(crate) struct Containers {
    /// Name and version of the runtime.
    runtime: String,
    starting: Starting,
    /// The agent that has some containers and nothing to do.
    idle: AtRest,
}

/// What starting one takes: all of it, and what of that is spent in waiting for the runtime.
#[derive(Default)]
struct Starting {
    all: Comparison,
    create: Comparison,
    start: Comparison,
}

pub(crate) async fn measure() -> Containers {
    let server = NatsServer::start(Settings::default()).await;
    provision_all(&server).await;
    let platform = Platform::connect(&server).await;
    let runtime = ContainerRuntime::start().await;
    let version = runtime.podman(&["--version"]).await;
    Containers {
        runtime: version.trim().replace(" version", ""),
        starting: starting::measure(&server, &platform, &runtime).await,
        idle: at_rest(&server, &platform, &runtime).await,
    }
}

async fn at_rest(server: &NatsServer, platform: &Platform, runtime: &ContainerRuntime) -> AtRest {
    let mut agent = runtime.on(Agent::new(IDLE_AGENT, &server.url()));
    agent.start();
    let resources: Vec<_> = (0..IDLE).map(|number| container(&format!("box-{number}"), BOX)).collect();
    platform.put(IDLE_AGENT, &manifest(IDLE_AGENT, 1, &resources)).await;
    platform.status_where(IDLE_AGENT, "Converged", |status| status.phase == Phase::Converged).await;
    let watched = idle::watch(&agent, platform).await;
    agent.stop().await;
    watched
}
