//! The platform's command line, as people and scripts run it, on a real server with a real device.

mod apply;
mod beforehand;
mod delete;
mod server;
mod show;
mod wait;

use agent_model::status::AgentStatus;
use serde_json::Value;
use tests::{
    agent::Agent,
    document::{authored, file},
    harmonyctl::{Harmonyctl, Ran},
    platform::DESIRED_STATE,
    site::{Access, DEVICE, Site},
};

/// A device that nobody ever heard of.
const STRANGER: &str = "edge-0009";
/// Where no server is: no program is given that port by chance.
const NOBODY: &str = "nats://127.0.0.1:1";

/// A site with a running device of the contract's rights, and somebody who works on it.
struct Workplace {
    site: Site,
    device: Agent,
    shell: Harmonyctl,
}

impl Workplace {
    async fn start() -> Self {
        let site = Site::start(Access::Restricted).await;
        let device = site.device();
        Self::with(site, device).await
    }

    async fn with(site: Site, mut device: Agent) -> Self {
        device.start();
        // Before its first sign of life it would be offline, which nobody waits for.
        site.device_was_seen().await;
        let shell = Harmonyctl::new(site.server.url_with_credentials());
        Self { site, device, shell }
    }

    /// Starts with the device converged at generation 1, with `/etc/a` holding `1`.
    async fn converged() -> Self {
        let workplace = Self::start().await;
        workplace.shell.apply(&[holding("1")]).await.assert_ended(0);
        workplace
    }

    async fn status(&self) -> AgentStatus {
        self.site.platform.status(DEVICE).await.unwrap()
    }

    /// The document in the bucket, and its revision.
    async fn desired(&self, agent: &str) -> Option<(u64, Value)> {
        let entry = self.site.platform.entry(DESIRED_STATE, agent).await.unwrap()?;
        Some((entry.revision, serde_json::from_slice(&entry.value).unwrap()))
    }
}

/// A document of one file, `/etc/a`.
fn holding(content: &str) -> Value {
    authored(DEVICE, &[file("a", "/etc/a", content)])
}

#[track_caller]
fn assert_printed(ran: &Ran, lines: &[&str]) {
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), lines, "{ran:#?}");
}
