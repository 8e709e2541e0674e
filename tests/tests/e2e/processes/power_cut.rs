//! The agent is killed at every single crash point of what can befall a process, and started again. What runs lives on
//! meanwhile.

use std::fs;

use process_shim::{ProcessIdentity, ShimRecord};
use rustix::process::Signal;
use serde_json::{Value, json};
use tests::{
    agent::Agent,
    document::process,
    site::{Access, Site},
};

use super::logged;
use crate::{
    crash_walk::{Round, Walker, place, walk},
    status_words::{converged_at, listed},
};

/// So many devices.
const DEVICES: usize = 6;

const ROUND: Round<'static> =
    &[("first start", 28), ("stop and start", 33), ("ending what a killed shim left", 38), ("removal", 24)];

/// A process that tells of each of its starts, is ready at once, and has somebody with it.
fn web(mode: &str) -> Value {
    let mut web = process("web", &["sh", "-c", "echo started; sleep infinity & wait"]);
    web["spec"]["env"] = json!({"MODE": mode});
    web["spec"]["probes"] = json!({"startup": {"exec": {"command": ["true"]}, "interval": "100ms"}});
    web
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

#[tokio::test]
async fn what_befalls_a_process_survives_a_power_cut_of_the_agent_at_every_step() {
    let site = Site::start(Access::Open).await;
    let devices = (0..DEVICES)
        .map(|number| Walker::new(Agent::new(&format!("edge-{number}"), &site.server.url()), &site.platform));
    walk(ROUND, devices.collect(), async |walker, change, passed| {
        // How often it was started in all, how often again, and how often for another document.
        let (resources, expected) = match change {
            0 => (vec![web("1")], Some((1, 0, 1))),
            1 => (vec![web("2")], Some((2, 1, 2))),
            2 => {
                walker.stop_agent().await;
                walker.device.shim_record("web").shim.signal(Signal::KILL).unwrap();
                (vec![web("2")], Some((3, 2, 2)))
            }
            _ => (vec![], None),
        };
        let (was_killed, status) = walker.change(&resources, passed, converged_at).await;
        let device = &walker.device;
        let about = format!("{}, {}\n{}", ROUND[change].0, place(passed), device.log());
        match expected {
            Some(expected) => {
                let web = listed(&status, "web").unwrap();
                let started = logged(device, "web").len();
                assert_eq!((started, web.restarts, web.changes), expected, "{about}");
                assert_eq!(web.drift_corrections, 0, "{about}");
                let all = all_of(&device.shim_record("web"));
                assert_eq!(sorted(device.workloads()), all, "an orphan {about}");
            }
            None => {
                assert_eq!(device.workloads(), [], "left behind {about}");
                let kept = fs::read_dir(device.state_dir().join("processes")).map_or(0, Iterator::count);
                assert_eq!(kept, 0, "{about}");
            }
        }
        was_killed
    })
    .await;
}
