//! What an agent costs that has nothing to do, and what holds its processes.

use std::time::Duration;

use agent_model::status::Phase;
use tests::{
    agent::Agent,
    document::{file, manifest, process},
    nats_server::{NatsServer, Settings},
    platform::{Platform, provision_all},
};

use crate::process_cost::{pss_kib, ticks};

/// The processes that it keeps.
pub(crate) const PROCESSES: [&str; 3] = ["one", "two", "three"];

/// How long it is watched.
pub(crate) const DURATION: Duration = Duration::from_secs(60);
/// How long it is left alone before.
const UNTIL_QUIET: Duration = Duration::from_secs(5);

const AGENT: &str = "edge-0001";

/// The agent's share of the machine.
pub(crate) struct Idle {
    /// Proportional set size at the end, in KiB.
    pub(crate) pss_kib: u64,
    /// Processor time in user and system mode, in ticks of the kernel.
    pub(crate) ticks: u64,
    /// How many ticks are a second.
    pub(crate) ticks_per_second: u64,
    /// Proportional set size of the largest shim at the end, in KiB.
    pub(crate) shim_pss_kib: u64,
}

impl Idle {
    /// Processor time in percent of one core.
    pub(crate) fn percent_of_a_core(&self) -> f64 {
        let seconds = self.ticks as f64 / self.ticks_per_second as f64;
        100.0 * seconds / DURATION.as_secs_f64()
    }
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

    let before = ticks(agent.pid());
    tokio::time::sleep(DURATION).await;
    let idle = Idle {
        ticks: ticks(agent.pid()) - before,
        pss_kib: pss_kib(agent.pid()),
        ticks_per_second: rustix::param::clock_ticks_per_second(),
        shim_pss_kib: PROCESSES
            .map(|name| pss_kib(agent.shim_record(name).shim.pid))
            .into_iter()
            .max()
            .unwrap(),
    };
    agent.stop().await;
    idle
}
