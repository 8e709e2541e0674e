//! From writing a document to seeing that its container is ready.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{
    agent::Agent,
    container_runtime::{BOX, ContainerRuntime},
    document::manifest,
    nats_server::NatsServer,
    platform::Platform,
};

use super::{
    Starting,
    bare_runtime::{BareRuntime, Took},
};
use crate::status_watch::StatusWatch;

/// How many samples of each are taken.
pub(crate) const ROUNDS: usize = 100;
/// Rounds before those, whose samples are dropped.
const WARM_UP: usize = 5;
/// How long the agent is left alone before each of its documents: what it still hears of the container before,
/// and how often it may write its status in a second, is not what is measured here.
const PAUSE: Duration = Duration::from_secs(2);

/// The command of the container, and the port at which it answers.
pub(super) const COMMAND: [&str; 4] = ["httpd", "-f", "-p", "8080"];
const PORT: u16 = 8080;

const AGENT: &str = "edge-0001";

pub(super) async fn measure(
    server: &NatsServer,
    platform: &Platform,
    runtime: &ContainerRuntime,
) -> Starting {
    let bare_runtime = BareRuntime::at(&runtime.socket());
    let mut statuses = StatusWatch::begin(platform).await;
    let mut agent = runtime.on(Agent::new(AGENT, &server.url()));
    agent.start();
    let mut starting = Starting::default();
    for round in 0..WARM_UP + ROUNDS {
        let generation = 2 * round as u64 + 1;
        // Each is first as often as the other.
        let (floor, (all, of_it)) = if round % 2 == 0 {
            (bare_runtime.run().await, once(platform, &mut statuses, &agent, generation).await)
        } else {
            let agents = once(platform, &mut statuses, &agent, generation).await;
            (bare_runtime.run().await, agents)
        };
        if round >= WARM_UP {
            starting.all.push(floor.create + floor.start, all);
            starting.create.push(floor.create, of_it.create);
            starting.start.push(floor.start, of_it.start);
        }
    }
    agent.stop().await;
    starting
}

/// Has the container made, and removed again. Returns how long it took until it was ready, and how long the agent
/// waited for the runtime meanwhile.
async fn once(
    platform: &Platform,
    statuses: &mut StatusWatch,
    agent: &Agent,
    generation: u64,
) -> (Duration, Took) {
    tokio::time::sleep(PAUSE).await;
    let document = manifest(AGENT, generation, &[web()]);
    let start = Instant::now();
    platform.put(AGENT, &document).await;
    statuses.converged(AGENT, generation).await;
    let all = start.elapsed();
    let took = waited(agent, generation);
    platform.put(AGENT, &manifest(AGENT, generation + 1, &[])).await;
    statuses.converged(AGENT, generation + 1).await;
    (all, took)
}

/// What is measured: with a probe, because without one a container counts as ready after a second.
fn web() -> Value {
    json!({"kind": "Container", "name": "web", "spec": {
        "image": BOX,
        "pullPolicy": "Never",
        "command": COMMAND,
        "probes": {"readiness": {"tcp": {"port": PORT}}},
        "stopSignal": "SIGKILL",
    }})
}

/// How long the agent waited for the runtime when it put that generation in force, says its audit log.
fn waited(agent: &Agent, generation: u64) -> Took {
    let records = agent.audit();
    let took = |step: &str| {
        let is_it = |record: &&Value| {
            record["generation"] == generation && record["outcome"] == "Done" && record["step"] == step
        };
        let record = records.iter().rev().find(is_it).unwrap_or_else(|| panic!("no record of {step:?}"));
        Duration::from_millis(record["durationMs"].as_u64().unwrap())
    };
    Took { create: took("create it"), start: took("start it") }
}
