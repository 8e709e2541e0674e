//! The agent is killed at every single crash point of what can befall a container, and started again. What runs lives
//! on meanwhile.

use agent_model::status::{AgentStatus, ResourceState};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{
    agent::Agent,
    container_runtime::ContainerRuntime,
    site::{Access, Site},
};

use super::web;
use crate::{
    crash_walk::{Round, Walker, place, walk},
    status_words::{Counts, accepted, converged_at, counts, listed, stands},
};

/// So many devices, each with a runtime of its own.
const DEVICES: usize = 4;

const ROUND: Round<'static> = &[("first start", 20), ("replacement", 20), ("rollback", 20), ("removal", 15)];

/// Nothing of it needs a network, whose setting up takes the most of a start.
fn declared(mode: &str) -> Value {
    let mut web = web(mode);
    web["spec"]["network"] = json!("None");
    web
}

/// The same with a command that there is not.
fn broken() -> Value {
    let mut broken = declared("3");
    broken["spec"]["command"] = json!(["/nonexistent"]);
    broken
}

/// A rolled back document never converges: it ends in a failure that says so.
fn brought_back(generation: u64) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        accepted(status) == Some(generation)
            && stands("web", ResourceState::Failed, "NotStarted")(status)
            && listed(status, "web").is_some_and(|web| web.message.contains("brought back"))
    }
}

#[tokio::test]
async fn what_befalls_a_container_survives_a_power_cut_of_the_agent_at_every_step() {
    let site = Site::start(Access::Open).await;
    let devices = join_all((0..DEVICES).map(async |number| {
        let runtime = ContainerRuntime::start().await;
        let device = runtime.on(Agent::new(&format!("edge-{number}"), &site.server.url()));
        (Walker::new(device, &site.platform), runtime)
    }))
    .await;
    walk(ROUND, devices, async |(walker, runtime), change, passed| {
        let (was_killed, status) = match change {
            0 => walker.change(&[declared("1")], passed, converged_at).await,
            1 => walker.change(&[declared("2")], passed, converged_at).await,
            2 => walker.change(&[broken()], passed, brought_back).await,
            _ => walker.change(&[], passed, converged_at).await,
        };
        let about = format!("{}, {}\n{}", ROUND[change].0, place(passed), walker.device.log());
        let expected = match change {
            0 => Some((Counts { changes: 1, restarts: 0, drift_corrections: 0 }, "started 1\n")),
            1 => Some((Counts { changes: 2, restarts: 1, drift_corrections: 0 }, "started 2\n")),
            // The log of a container lasts as long as this: it is the same one.
            2 => Some((Counts { changes: 2, restarts: 2, drift_corrections: 0 }, "started 2\nstarted 2\n")),
            _ => None,
        };
        match expected {
            Some((counted, printed)) => {
                assert_eq!(counts(&status, "web"), counted, "{about}");
                assert_eq!(runtime.names().await, ["web"], "{about}");
                assert_eq!(runtime.logs("web").await, printed, "{about}");
            }
            None => assert!(runtime.names().await.is_empty(), "{about}"),
        }
        was_killed
    })
    .await;
}
