//! The agent is killed at every single crash point that a change of containers passes, one after the other,
//! and started again. What runs lives on meanwhile.

use agent_model::{Timestamp, status::AgentStatus};
use serde_json::Value;
use tests::{
    agent::{Agent, crashed},
    container_runtime::ContainerRuntime,
    document::manifest,
    eventually::eventually,
    site::{Access, Site},
};

use super::{counts, web};
use crate::status_words::converged_at;

/// More crash points than any change passes: beyond it, something repeats without an end.
const TOO_MANY: u32 = 120;

/// So many devices are at it at the same time, each with a runtime of its own: mostly they wait.
const AT_ONCE: u32 = 4;

/// Carries out the change with a crash after no crash point, after one, after two …, each on a device of its own,
/// until it goes through without one. Returns how many there were.
async fn survives_every_crash(from: &[Value], to: &[Value], expected: Option<(u64, &str)>) -> u32 {
    let site = Site::start(Access::Open).await;
    let walk = async |first: u32| {
        let runtime = ContainerRuntime::start().await;
        for passed in (first..TOO_MANY).step_by(AT_ONCE as usize) {
            if !survives(&site, &runtime, from, to, expected, passed).await {
                return passed;
            }
        }
        panic!("{TOO_MANY} crash points were not enough");
    };
    let walks = futures_util::future::join_all((0..AT_ONCE).map(walk)).await;
    walks.into_iter().min().unwrap_or_default()
}

async fn survives(
    site: &Site,
    runtime: &ContainerRuntime,
    from: &[Value],
    to: &[Value],
    expected: Option<(u64, &str)>,
    passed: u32,
) -> bool {
    let id = format!("edge-{passed}");
    let mut device = runtime.on(Agent::new(&id, &site.server.url()));
    let mut generation = 1;
    if !from.is_empty() {
        device.start();
        site.platform.put(&id, &manifest(&id, generation, from)).await;
        site.platform.status_where(&id, "converged before the change", converged_at(generation)).await;
        device.stop().await;
        generation += 1;
    }
    site.platform.put(&id, &manifest(&id, generation, to)).await;
    device.start_to_crash_after(passed);
    let crashed = crashed_on_its_way(site, &mut device, generation).await;

    let place = format!("after a crash past {passed} points");
    let restart = Timestamp::now();
    device.start();
    let is_its_own = |status: &AgentStatus| status.agent_info.started_at >= restart;
    let status = site
        .platform
        .status_where(&id, &format!("converged {place}"), |status| {
            is_its_own(status) && converged_at(generation)(status)
        })
        .await;
    if let Some((changes, printed)) = expected {
        let (changed, _, repaired) = counts(&status, "web");
        assert_eq!((changed, repaired), (changes, 0), "{place}\n{}", device.log());
        assert_eq!(runtime.names().await, ["web"], "{place}\n{}", device.log());
        assert_eq!(runtime.logs("web").await, printed, "{place}\n{}", device.log());
    }
    site.platform.put(&id, &manifest(&id, generation + 1, &[])).await;
    site.platform.status_where(&id, &format!("removed {place}"), converged_at(generation + 1)).await;
    assert!(runtime.names().await.is_empty(), "{place}\n{}", device.log());
    device.stop().await;
    crashed
}

/// Whether the agent died before it had converged and could stop in good order.
async fn crashed_on_its_way(site: &Site, device: &mut Agent, generation: u64) -> bool {
    let id = device.id().to_owned();
    let ended = eventually("the agent converged or crashed", async || {
        if let Some(status) = device.ended() {
            return Ok(Some(status));
        }
        match site.platform.status(&id).await {
            Ok(status) if converged_at(generation)(&status) => Ok(None),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let status = match ended {
        Some(status) => status,
        None => device.terminate().await,
    };
    crashed(status)
}

/// Far fewer points than these mean that some are not walked.
fn assert_about(points: u32, known: u32) {
    println!("{points} crash points, {known} when last counted");
    assert!(points * 10 >= known * 7, "only {points} crash points of {known}: is this build armed?");
}

#[tokio::test]
async fn a_first_start_survives_a_power_cut_of_the_agent_at_every_step() {
    let points = survives_every_crash(&[], &[web("1")], Some((1, "started 1\n"))).await;
    assert_about(points, 20);
}

#[tokio::test]
async fn a_replacement_survives_a_power_cut_of_the_agent_at_every_step() {
    let points = survives_every_crash(&[web("1")], &[web("2")], Some((2, "started 2\n"))).await;
    assert_about(points, 20);
}
