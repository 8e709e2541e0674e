//! The agent is killed at every single crash point that a job passes, one after the other, and started again. The job
//! runs once at most, and nothing of it is left.

use agent_model::{
    Timestamp,
    status::{AgentStatus, ResourceState},
};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tests::{
    agent::{Agent, crashed},
    document::{job, manifest},
    eventually::eventually,
    site::{Access, Site},
};

use super::{allowing, lines, listed, open_folder};
use crate::status_words::converged_at;

/// More crash points than any job passes.
const TOO_MANY: u32 = 200;
/// So many devices are at it at the same time: mostly they wait.
const AT_ONCE: usize = 6;

fn is_over(status: &AgentStatus) -> bool {
    listed(status, "once").is_some_and(|job| {
        job.state == ResourceState::Ready
            || (job.state == ResourceState::Failed && job.reason == "Interrupted")
    })
}

async fn survives(site: &Site, passed: u32) -> bool {
    let id = format!("edge-{passed}");
    let folder = open_folder();
    let runs = folder.path().join("runs");
    let mut once = job("once", &format!("echo run >> {}", runs.display()));
    once["spec"]["writablePaths"] = json!([folder.path()]);
    let mut device = allowing(Agent::new(&id, &site.server.url()), &[&once]);
    site.platform.put(&id, &manifest(&id, 1, &[once])).await;
    device.start_to_crash_after(passed);
    let ended = eventually("the agent converged or crashed", async || {
        if let Some(status) = device.ended() {
            return Ok(Some(status));
        }
        match site.platform.status(&id).await {
            Ok(status) if converged_at(1)(&status) => Ok(None),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let status = match ended {
        Some(status) => status,
        None => device.terminate().await,
    };
    let has_crashed = crashed(status);
    let place = format!("after a crash past {passed} points");
    // What the one that crashed has said, the next one first repeats.
    let restart = Timestamp::now();
    device.start();
    let is_its_own = |status: &AgentStatus| status.agent_info.started_at >= restart;
    let over = |status: &AgentStatus| is_its_own(status) && is_over(status);
    let status = site.platform.status_where(&id, &format!("over {place}"), over).await;
    let succeeded = listed(&status, "once").unwrap().state == ResourceState::Ready;
    let count = lines(&runs);
    assert!(count <= 1, "it ran {count} times {place}\n{}", device.log());
    assert!(!succeeded || count == 1, "said to have run {place}, and it did not\n{}", device.log());
    assert_eq!(device.workloads(), [], "an orphan {place}\n{}", device.log());
    device.stop().await;
    has_crashed
}

#[tokio::test]
async fn a_job_runs_once_at_most_though_the_power_of_the_agent_is_cut_at_every_step() {
    let site = Site::start(Access::Open).await;
    let mut passes = stream::iter(0..TOO_MANY).map(|passed| survives(&site, passed)).buffered(AT_ONCE);
    let mut points = 0;
    while let Some(has_crashed) = passes.next().await {
        if !has_crashed {
            println!("{points} crash points");
            assert!(points >= 20, "only {points} crash points: is this build armed?");
            return;
        }
        points += 1;
    }
    panic!("{TOO_MANY} crash points were not enough");
}
