//! What an agent costs that has nothing to do, and what holds its processes.

use std::time::Duration;

use agent_model::status::Phase;
use tests::{
    agent::Agent,
    document::{file, manifest, process},
    nats_server::{NatsServer, Settings},
    platform::{HEARTBEAT, Platform, provision_all},
};
use tokio::time::sleep;

use crate::process_cost::{AtRest, pss_kib};

/// The processes that it keeps.
pub(crate) const PROCESSES: [&str; 3] = ["one", "two", "three"];

/// How long it is watched: so long that all that it does now and then is in it, two signs of life (2 min) and a pass
/// that nobody woke (5 min), however late they are.
pub(crate) const DURATION: Duration = Duration::from_secs(400);
/// How long it is left alone before.
const UNTIL_QUIET: Duration = Duration::from_secs(5);

const AGENT: &str = "edge-0001";

/// What was found.
pub(crate) struct Idle {
    pub(crate) agent: AtRest,
    /// Proportional set size of the largest shim at the end, in KiB.
    pub(crate) shim_pss_kib: u64,
}

pub(crate) async fn measure() -> Idle {
    let server = NatsServer::start(Settings::default()).await;
    provision_all(&server).await;
    let platform = Platform::connect(&server).await;
    let mut agent = Agent::new(AGENT, &server.url());
    agent.start();
    let mut resources = vec![file("app-config", "/etc/app/app.conf", "idle = true\n")];
    resources.extend(PROCESSES.map(|name| process(name, &["sleep", "infinity"])));
    platform.put(AGENT, &manifest(AGENT, 1, &resources)).await;
    platform.status_where(AGENT, "Converged", |status| status.phase == Phase::Converged).await;
    let at_rest = watch(&agent, &platform).await;
    let shims = PROCESSES.map(|name| pss_kib(agent.shim_record(name).shim.pid));
    agent.stop().await;
    Idle { agent: at_rest, shim_pss_kib: shims.into_iter().max().unwrap() }
}

/// Watches an agent that has just converged.
pub(crate) async fn watch(agent: &Agent, platform: &Platform) -> AtRest {
    sleep(UNTIL_QUIET).await;
    let before = signs_of_life(platform).await;
    let at_rest = AtRest::watch(agent.pid(), DURATION).await;
    assert!(
        signs_of_life(platform).await >= before + 2,
        "what was watched is not all that an idle agent does"
    );
    at_rest
}

async fn signs_of_life(platform: &Platform) -> u64 {
    let mut bucket = platform.jetstream.get_stream(format!("KV_{HEARTBEAT}")).await.unwrap();
    bucket.info().await.unwrap().state.last_sequence
}
