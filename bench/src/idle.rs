//! What an agent costs that has nothing to do, and what holds its processes.

use std::time::Duration;

use agent_model::status::Phase;
use tests::{
    agent::Agent,
    document::{file, manifest, process},
    nats_server::{NatsServer, Settings},
    platform::{Platform, provision_all},
};

use crate::process_cost::{AtRest, pss_kib};

/// The processes that it keeps.
pub(crate) const PROCESSES: [&str; 3] = ["one", "two", "three"];

/// How long it is watched.
pub(crate) const DURATION: Duration = Duration::from_secs(60);
/// How long it is left alone before.
pub(crate) const UNTIL_QUIET: Duration = Duration::from_secs(5);

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
    tokio::time::sleep(UNTIL_QUIET).await;

    let at_rest = AtRest::watch(agent.pid(), DURATION).await;
    let shims = PROCESSES.map(|name| pss_kib(agent.shim_record(name).shim.pid));
    agent.stop().await;
    Idle { agent: at_rest, shim_pss_kib: shims.into_iter().max().unwrap() }
}
