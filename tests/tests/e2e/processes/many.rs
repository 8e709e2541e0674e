//! A hundred processes on one device.

use std::{fs, time::Duration};

use agent_model::status::{AgentStatus, Event};
use process_shim::{ProcessIdentity, ShimRecord};
use serde_json::Value;
use tests::{
    agent::Agent,
    document::{manifest, process},
    site::{Access, DEVICE, Site},
};

use crate::status_words::{converged_at, of_a_later_process};

const COUNT: usize = 100;

/// Processor time that it has used, in hundredths of a second.
fn ticks(process: ProcessIdentity) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Children of the agent that ended and that it has not waited for.
fn zombies(device: &Agent) -> usize {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", device.pid())).unwrap();
    children
        .split_whitespace()
        .filter(|pid| ProcessIdentity::of(pid.parse().unwrap()).unwrap().is_none())
        .count()
}

#[tokio::test]
async fn a_hundred_processes_outlive_the_agent_cost_nothing_while_nothing_happens_and_go_without_a_trace() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device().with("drift_interval", "1h").with("resync_interval", "1h");
    device.start();
    let names: Vec<String> = (0..COUNT).map(|number| format!("sleeper-{number}")).collect();
    let resources: Vec<Value> = names.iter().map(|name| process(name, &["sleep", "infinity"])).collect();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(status.summary.ready, COUNT as u64);
    let records =
        |device: &Agent| names.iter().map(|name| device.shim_record(name)).collect::<Vec<ShimRecord>>();
    let before = records(&device);

    device.kill();
    device.start();
    let is_later = of_a_later_process(&status);
    let by_the_next = |status: &AgentStatus| is_later(status) && converged_at(1)(status);
    site.platform.status_where(DEVICE, "converged after a restart", by_the_next).await;
    assert_eq!(records(&device), before);
    // Until all is told that happened, it is not idle.
    let all_are_told =
        |events: &[Event]| events.iter().filter(|event| event.event_type == "Applied").count() >= COUNT;
    site.platform.events_where(DEVICE, "every start", all_are_told).await;

    let agent = ProcessIdentity::of(device.pid()).unwrap().unwrap();
    let shims = || before.iter().map(|record| ticks(record.shim)).sum::<u64>();
    let (agent_before, shims_before) = (ticks(agent), shims());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (agent_used, shims_used) = (ticks(agent) - agent_before, shims() - shims_before);
    assert!(
        agent_used <= 5 && shims_used <= 5,
        "an idle agent used {agent_used} ticks, its shims {shims_used}"
    );
    // Two for each, of the process and of its shim, and what the agent needs in any case.
    let descriptors = fs::read_dir(format!("/proc/{}/fd", device.pid())).unwrap().count();
    assert!(descriptors <= 2 * COUNT + 50, "{descriptors} open files");
    assert_eq!(zombies(&device), 0);

    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    assert_eq!(device.workloads(), []);
    assert!(before.iter().all(|record| !record.process.unwrap().is_alive() && !record.shim.is_alive()));
    assert!(before.iter().flat_map(|record| &record.control_groups).all(|group| !group.exists()));
    assert_eq!(fs::read_dir(device.state_dir().join("processes")).unwrap().count(), 0);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", device.pid())).unwrap().count();
    assert!(descriptors <= 50, "{descriptors} open files");
}
