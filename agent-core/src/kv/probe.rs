//! Trying out, for people, whether a device gets from the server what it needs.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use agent_model::AgentId;
use tokio::time::timeout;

use super::{
    Connection, Entry,
    names::{ACTUAL_STATE_BUCKET, DESIRED_STATE_BUCKET},
};

/// The server that a connection reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachedServer {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
}

/// What came of reading one of the device's own entries.
#[derive(Debug)]
pub struct ReadEntry {
    /// In which bucket it lies.
    pub bucket: &'static str,
    /// The entry; or why it cannot be read, and what to do.
    pub outcome: Result<Entry, String>,
    /// How long the answer took.
    pub took: Duration,
}

impl Connection {
    /// The server, once there is one; `None` when none is reached in that time.
    pub async fn reached(&self, within: Duration) -> Option<ReachedServer> {
        let mut link = self.link();
        timeout(within, link.wait_for(|link| link.connected)).await.ok()?.ok()?;
        let info = self.client().server_info();
        Some(ReachedServer { version: info.version, name: info.server_name })
    }

    /// Reads what the agent reads: the device's own entries in the two buckets that it needs.
    pub async fn read_own_entries(&self, agent: &AgentId) -> [ReadEntry; 2] {
        let read = async |bucket| {
            let start = Instant::now();
            let outcome = self.read_last(bucket, agent).await.map_err(|error| with_cause(&error));
            ReadEntry { bucket, outcome, took: start.elapsed() }
        };
        [read(DESIRED_STATE_BUCKET).await, read(ACTUAL_STATE_BUCKET).await]
    }
}

fn with_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
