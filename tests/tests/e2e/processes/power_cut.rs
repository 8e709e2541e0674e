//! The agent is killed at every single crash point that a change of processes passes, one after the other,
//! and started again. What runs lives on meanwhile.

use std::fs;

use agent_model::{Timestamp, status::AgentStatus};
use futures_util::{StreamExt as _, stream};
use process_shim::{ProcessIdentity, ShimRecord};
use rustix::process::Signal;
use serde_json::{Value, json};
use tests::{
    agent::{Agent, crashed},
    document::{manifest, process},
    eventually::eventually,
    platform::Platform,
    site::{Access, Site},
};

use super::{listed, logged};
use crate::status_words::converged_at;

/// More crash points than any change passes: beyond it, something repeats without an end.
const TOO_MANY: u32 = 300;
/// So many devices are at it at the same time: mostly they wait.
const AT_ONCE: usize = 6;

/// A change of what runs, and what must have come of it.
struct Change {
    from: Vec<Value>,
    /// What happens while the agent is away, before the change.
    meanwhile: fn(&Agent),
    to: Vec<Value>,
    /// The process, how often it is to have been started in all, how often again, and how often for another
    /// document.
    counts: Option<Counts>,
}

struct Counts {
    starts: usize,
    restarts: u64,
    changes: u64,
}

/// A process that tells of each of its starts, is ready at once, and has somebody with it.
fn web(mode: &str) -> Value {
    let mut web = process("web", &["sh", "-c", "echo started; sleep infinity & wait"]);
    web["spec"]["env"] = json!({"MODE": mode});
    web["spec"]["probes"] = json!({"startup": {"exec": {"command": ["true"]}, "interval": "100ms"}});
    web
}

/// Carries out the change with a crash after no crash point, after one, after two …, each on a device of
/// its own, until it goes through without one. Returns how many there were.
async fn survives_every_crash(change: &Change) -> u32 {
    let site = Site::start(Access::Open).await;
    let mut passes =
        stream::iter(0..TOO_MANY).map(|passed| survives(&site, change, passed)).buffered(AT_ONCE);
    let mut points = 0;
    while let Some(crashed) = passes.next().await {
        if !crashed {
            return points;
        }
        points += 1;
    }
    panic!("{TOO_MANY} crash points were not enough");
}

async fn survives(site: &Site, change: &Change, passed: u32) -> bool {
    let id = format!("edge-{passed}");
    let mut device = Agent::new(&id, &site.server.url());
    let mut generation = 1;
    if !change.from.is_empty() {
        device.start();
        site.platform.put(&id, &manifest(&id, generation, &change.from)).await;
        site.platform.status_where(&id, "converged before the change", converged_at(generation)).await;
        device.stop().await;
        (change.meanwhile)(&device);
        generation += 1;
    }
    site.platform.put(&id, &manifest(&id, generation, &change.to)).await;
    device.start_to_crash_after(passed);
    let crashed = crashed_on_its_way(&site.platform, &mut device, generation).await;

    let place = format!("after a crash past {passed} points");
    let restart = Timestamp::now();
    device.start();
    // The one that crashed may have said that it converged, and the next one first repeats that.
    let is_its_own = |status: &AgentStatus| status.agent_info.started_at >= restart;
    let status = site
        .platform
        .status_where(&id, &format!("converged {place}"), |status| {
            is_its_own(status) && converged_at(generation)(status)
        })
        .await;
    match &change.counts {
        Some(Counts { starts, restarts, changes }) => {
            let web = listed(&status, "web").unwrap();
            let counted = (web.restarts, web.changes, web.drift_corrections);
            assert_eq!(counted, (*restarts, *changes, 0), "{place}\n{}", device.log());
            let record = device.shim_record("web");
            let started = logged(&device, "web").len();
            assert_eq!(started, *starts, "{place}\n{}", device.log());
            assert_eq!(sorted(device.workloads()), all_of(&record), "an orphan {place}\n{}", device.log());
        }
        None => assert_eq!(
            fs::read_dir(device.state_dir().join("processes")).map_or(0, Iterator::count),
            0,
            "{place}"
        ),
    }

    site.platform.put(&id, &manifest(&id, generation + 1, &[])).await;
    site.platform.status_where(&id, &format!("removed {place}"), converged_at(generation + 1)).await;
    assert_eq!(device.workloads(), [], "left behind {place}\n{}", device.log());
    assert_eq!(fs::read_dir(device.state_dir().join("processes")).map_or(0, Iterator::count), 0, "{place}");
    device.stop().await;
    crashed
}

/// The shim, its process, and the one that this has with it.
fn all_of(record: &ShimRecord) -> Vec<ProcessIdentity> {
    let process = record.process.unwrap();
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.pid)).unwrap();
    let children =
        children.split_whitespace().filter_map(|pid| ProcessIdentity::of(pid.parse().unwrap()).unwrap());
    sorted([record.shim, process].into_iter().chain(children).collect())
}

fn sorted(mut processes: Vec<ProcessIdentity>) -> Vec<ProcessIdentity> {
    processes.sort_unstable();
    processes
}

/// Whether the agent died before it had converged and could stop in good order.
async fn crashed_on_its_way(platform: &Platform, device: &mut Agent, generation: u64) -> bool {
    let id = device.id().to_owned();
    let ended = eventually("the agent converged or crashed", async || {
        if let Some(status) = device.ended() {
            return Ok(Some(status));
        }
        match platform.status(&id).await {
            Ok(status) if converged_at(generation)(&status) => Ok(None),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // It may have said that it converged, and have crashed afterwards.
    let status = match ended {
        Some(status) => status,
        None => device.terminate().await,
    };
    crashed(status)
}

/// Fewer points than these mean that some are not walked; a few may come and go with the passes that a
/// change takes.
fn assert_about(points: u32, known: u32) {
    println!("{points} crash points, {known} when last counted");
    assert!(points * 10 >= known * 8, "only {points} crash points of {known}: is this build armed?");
}

#[tokio::test]
async fn a_first_start_survives_a_power_cut_of_the_agent_at_every_step() {
    let change = Change {
        from: Vec::new(),
        meanwhile: |_| {},
        to: vec![web("1")],
        counts: Some(Counts { starts: 1, restarts: 0, changes: 1 }),
    };
    assert_about(survives_every_crash(&change).await, 28);
}

#[tokio::test]
async fn a_stop_and_a_start_survive_a_power_cut_of_the_agent_at_every_step() {
    let change = Change {
        from: vec![web("1")],
        meanwhile: |_| {},
        to: vec![web("2")],
        counts: Some(Counts { starts: 2, restarts: 1, changes: 2 }),
    };
    assert_about(survives_every_crash(&change).await, 33);
}

#[tokio::test]
async fn a_removal_survives_a_power_cut_of_the_agent_at_every_step() {
    let change = Change { from: vec![web("1")], meanwhile: |_| {}, to: Vec::new(), counts: None };
    assert_about(survives_every_crash(&change).await, 24);
}

#[tokio::test]
async fn ending_what_a_killed_shim_left_survives_a_power_cut_of_the_agent_at_every_step() {
    let change = Change {
        from: vec![web("1")],
        meanwhile: |device| device.shim_record("web").shim.signal(Signal::KILL).unwrap(),
        to: vec![web("1")],
        counts: Some(Counts { starts: 2, restarts: 1, changes: 1 }),
    };
    assert_about(survives_every_crash(&change).await, 38);
}
