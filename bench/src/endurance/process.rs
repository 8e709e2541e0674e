//! An agent as it ships, to which documents and touches come in bursts.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

use agent_model::status::{AgentStatus, Phase};
use tests::{
    agent::Agent,
    nats_server::{NatsServer, Settings},
    platform::{Platform, provision_all},
};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    AGENT, FILES, Growth, PARTS,
    files::{document, path},
};
use crate::process_cost::Memory;

/// How many documents are written.
pub(crate) const DOCUMENTS: u64 = 100_000;
/// How often one of its files is touched.
pub(crate) const TOUCHES: u64 = 1_000_000;

/// A part comes in so many bursts.
const BURSTS: u64 = 50;
/// How far apart bursts begin. The agent reads its document at most ten times a second, so it takes one
/// document of each burst of them, the last.
const PACE: Duration = Duration::from_millis(120);

/// How an agent fared.
pub(crate) struct Process {
    pub(crate) documents: Growth,
    /// Documents that it has put in force; of those that come close together the last.
    pub(crate) applied: u64,
    pub(crate) touches: Growth,
    /// Drift that it has repaired meanwhile.
    pub(crate) repairs: u64,
}

pub(crate) async fn measure() -> Process {
    let server = NatsServer::start(Settings::default()).await;
    provision_all(&server).await;
    let platform = Platform::connect(&server).await;
    let mut agent = Agent::new(AGENT, &server.url());
    agent.start();
    let pid = agent.pid();

    let mut generation = 0;
    let documents = growth(pid, async || {
        for _ in 0..DOCUMENTS / (PARTS * BURSTS) {
            generation += 1;
            platform.put(AGENT, &document(generation)).await;
        }
    })
    .await;
    let converged = |status: &AgentStatus| {
        let applied = status.applied.as_ref().map(|applied| applied.generation.get());
        status.phase == Phase::Converged && applied == Some(generation)
    };
    let status = platform.status_where(AGENT, "that the last document is applied", converged).await;
    let applied = status.resources.iter().map(|resource| resource.changes).max().unwrap();

    let paths: Vec<_> = (0..FILES).map(|number| agent.path(&path(number))).collect();
    let mut turn = paths.iter().cycle();
    let touches = growth(pid, async || {
        for _ in 0..TOUCHES / (PARTS * BURSTS) {
            // Not as declared, so that it has to be repaired and not only looked at.
            let mode = Permissions::from_mode(0o600);
            fs::set_permissions(turn.next().unwrap(), mode).unwrap();
        }
    })
    .await;
    let status = platform.status(AGENT).await.unwrap();
    let repairs = status.resources.iter().map(|resource| resource.drift_corrections).sum();
    agent.stop().await;
    Process { documents, applied, touches, repairs }
}

/// Has the bursts done and looks at the memory of that process.
async fn growth(pid: u32, mut burst: impl AsyncFnMut()) -> Growth {
    let mut after = Vec::new();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..PARTS {
        for _ in 0..BURSTS {
            pace.tick().await;
            burst().await;
        }
        after.push(Memory::of(pid));
    }
    Growth(after)
}
