//! From writing a document to seeing that the device is as it says.

use std::time::{Duration, Instant};

use tests::{
    agent::Agent,
    document::{file, manifest},
    nats_server::{NatsServer, Settings},
    platform::{Platform, provision_all},
};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    bare_device::{BareDevice, Likeness},
    samples::Comparison,
    status_watch::StatusWatch,
};

/// How many samples of each are taken.
pub(crate) const ROUNDS: usize = 200;
/// Rounds before those, whose samples are dropped.
const WARM_UP: usize = 20;
/// How far apart rounds begin. The agent writes its status at most four times a second; a faster
/// pace would measure that limit.
pub(crate) const PACE: Duration = Duration::from_millis(350);
/// How large the file is, in bytes.
pub(crate) const CONTENT_LEN: usize = 1024;

const AGENT: &str = "edge-0001";
const BARE_DEVICE: &str = "bare-device";

/// How often the server syncs what it stores.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sync {
    /// Every two minutes.
    Default,
    /// Before it acknowledges a write.
    Always,
}

impl Sync {
    /// As the server's configuration says it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "2m (default)",
            Self::Always => "always",
        }
    }
}

/// The samples of one server.
pub(crate) struct Convergence {
    pub(crate) sync: Sync,
    pub(crate) status_len: usize,
    pub(crate) ledger_len: usize,
    pub(crate) comparison: Comparison,
}

/// With each kind of server.
pub(crate) async fn measure() -> [Convergence; 2] {
    [measure_at(Sync::Default).await, measure_at(Sync::Always).await]
}

async fn measure_at(sync: Sync) -> Convergence {
    let sync_always = matches!(sync, Sync::Always);
    let server = NatsServer::start(Settings { sync_always, ..Settings::default() }).await;
    provision_all(&server).await;
    let platform = Platform::connect(&server).await;
    let mut statuses = StatusWatch::begin(&platform).await;

    let mut agent = Agent::new(AGENT, &server.url());
    agent.start();
    platform.put(AGENT, &document(AGENT, 1)).await;
    let status = statuses.converged(AGENT, 1).await;
    let status_len = serde_json::to_vec(&status).unwrap().len();
    let ledger = std::fs::metadata(agent.state_dir().join("ledger.json")).unwrap();
    let ledger_len = usize::try_from(ledger.len()).unwrap();
    let bare_device = BareDevice::start(&server, BARE_DEVICE, Likeness { status, ledger_len }).await;

    let mut comparison = Comparison::default();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0..WARM_UP + ROUNDS {
        pace.tick().await;
        let generation = round as u64 + 2;
        // Each is first as often as the other: whoever is may have to wait for what else the disk
        // had to write since the last round.
        let order = if round % 2 == 0 { [BARE_DEVICE, AGENT] } else { [AGENT, BARE_DEVICE] };
        for device in order {
            let took = once(&platform, &mut statuses, device, generation).await;
            if round >= WARM_UP {
                let samples = if device == AGENT { &mut comparison.subject } else { &mut comparison.floor };
                samples.push(took);
            }
        }
    }
    drop(bare_device);
    agent.stop().await;
    Convergence { sync, status_len, ledger_len, comparison }
}

async fn once(platform: &Platform, statuses: &mut StatusWatch, device: &str, generation: u64) -> Duration {
    let document = document(device, generation);
    let start = Instant::now();
    platform.put(device, &document).await;
    statuses.converged(device, generation).await;
    start.elapsed()
}

/// One file, with another content in each generation.
pub(crate) fn document(device: &str, generation: u64) -> serde_json::Value {
    let content = format!("generation = {generation}\n{:#<CONTENT_LEN$}", "");
    manifest(device, generation, &[file("app-config", "/etc/app/app.conf", &content[..CONTENT_LEN])])
}
