//! Agents without a process of their own, so that one machine can be a whole fleet.

use std::{error::Error, path::PathBuf};

use agent_core::{
    device::Device,
    kv::{Access, Connection, DesiredWatchSettings, HeartbeatTask},
    runtime::DEFAULT_DRIFT_INTERVAL,
    signing::Trust,
    state_dir::StateDir,
};
use agent_model::AgentId;
use tokio::{runtime::Runtime, sync::watch};

use crate::{
    Agent,
    configuration::Ground,
    holds::Holds,
    serving::{Intervals, Serving, serve},
    wiring::{self, Wired},
};

/// One agent among many in a process, with a connection and folders of its own and the intervals that
/// an agent has unless configured. It takes any document as the agent does with `--allow-unsigned`.
///
/// It is the whole agent but for what belongs to a process (signals, limits, the log, the service
/// manager) and for the watch on its state folder, because a user may have few of these: a pause or
/// the end of safe mode shows at its next start.
#[derive(Debug)]
pub struct SimulatedAgent {
    /// Which device it is.
    pub agent: AgentId,
    /// The server, as `--nats-url` takes it.
    pub url: String,
    /// As `--state-dir`.
    pub state_dir: PathBuf,
    /// As `--root`.
    pub root: PathBuf,
}

impl SimulatedAgent {
    /// What an agent runs on, and any number of these as well.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn runtime() -> std::io::Result<Runtime> {
        crate::runtime()
    }

    /// Works until it is dropped, which is as good as a power cut.
    ///
    /// # Errors
    /// Those with which the agent would end at its start.
    pub async fn run(self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (state, wired) = self.wire().await?;
        let Self { agent, url, .. } = self;
        let access = Access { urls: vec![url], ..Access::default() };
        let (_never, stop) = watch::channel(false);
        let serving = Serving {
            connection: Connection::open(&access, &agent).await?,
            agent,
            layout: state.layout().clone(),
            intervals: Intervals {
                resync: DesiredWatchSettings::default().resync_interval,
                drift: DEFAULT_DRIFT_INTERVAL,
                heartbeat: HeartbeatTask::DEFAULT_INTERVAL,
            },
            holds: Holds::as_found(state.layout()),
            phase: watch::channel(None).0,
            stop,
        };
        Ok(serve(wired, serving).await?)
    }

    /// The device alone, as [`run`](Self::run) begins with it, and the folder that it holds: who drives it is its
    /// transport. It never connects.
    ///
    /// # Errors
    /// Those with which the agent would end at its start.
    pub async fn device(self) -> Result<(StateDir, Device), Box<dyn Error + Send + Sync>> {
        let (state, wired) = self.wire().await?;
        Ok((state, wired.device))
    }

    async fn wire(&self) -> Result<(StateDir, Wired), Box<dyn Error + Send + Sync>> {
        let state = StateDir::open(self.state_dir.clone()).await?;
        let ground = Ground::built_in(state.layout().path().to_owned(), self.root.clone());
        let mut wired = wiring::wire(Agent::new(), &self.agent, &state, ground, Trust::in_anybody()).await?;
        wired.device.guard_against_crashes(state.layout());
        wired.device.heed_deadlines();
        Ok((state, wired))
    }
}
