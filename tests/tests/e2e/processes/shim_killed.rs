//! A shim that is killed takes its process with it, and leaves nothing behind.

use agent_model::status::{AgentStatus, ResourceState};
use process_shim::ProcessIdentity;
use rustix::process::Signal;
use serde_json::json;
use tests::{
    agent::Agent,
    document::manifest,
    eventually::eventually,
    site::{Access, DEVICE, Site},
};

use super::{logged, python};
use crate::status_words::{converged_at, listed, resource, stands};

/// Starts others that do not end with it: a child, one with a session of its own, and one that has
/// nothing of its environment any more.
const PARENT: &str = r#"
import os, sys, time

def stay():
    print(os.getpid(), flush=True)
    while True:
        time.sleep(1000)

if os.fork() == 0:
    stay()
if os.fork() == 0:
    os.setsid()
    stay()
if os.fork() == 0:
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
    os.execve(sys.executable, [sys.executable, "-c", program], {})
stay()
"#;

async fn all_four(device: &Agent, name: &str, runs: usize) -> Vec<ProcessIdentity> {
    eventually("all four run", async || {
        let printed = logged(device, name);
        let pids = printed.iter().skip(4 * (runs - 1)).filter_map(|line| line.parse().ok());
        let found: Vec<_> = pids.filter_map(|pid| ProcessIdentity::of(pid).unwrap()).collect();
        if found.len() == 4 { Ok(found) } else { Err(format!("{printed:?}")) }
    })
    .await
}

fn alive(processes: &[ProcessIdentity]) -> usize {
    processes.iter().filter(|process| process.is_alive()).count()
}

fn restarted(times: u64) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        converged_at(1)(status)
            && ["plain", "limited"]
                .iter()
                .all(|name| listed(status, name).is_some_and(|one| one.restarts == times))
    }
}

#[tokio::test]
async fn a_killed_shim_takes_all_it_held_along_and_the_process_is_started_again_after_a_pause() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let mut limited = python("limited", PARENT);
    limited["spec"]["limits"] = json!({"pids": 50, "memory": "256Mi"});
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[python("plain", PARENT), limited])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let mut before = all_four(&device, "plain", 1).await;
    before.extend(all_four(&device, "limited", 1).await);

    for name in ["plain", "limited"] {
        device.shim_record(name).shim.signal(Signal::KILL).unwrap();
    }
    let backs_off = stands("plain", ResourceState::Failed, "CrashLoopBackOff");
    let status = site.platform.status_where(DEVICE, "backs off", backs_off).await;
    let message = &resource(&status, "plain").message;
    assert!(message.contains("was ended with its shim"), "{message}");
    let status = site.platform.status_where(DEVICE, "restarted", restarted(1)).await;
    assert_eq!(alive(&before), 0, "{}", device.log());
    assert_eq!(resource(&status, "plain").drift_corrections, 0);

    // The same while there is no agent.
    let mut before = all_four(&device, "plain", 2).await;
    before.extend(all_four(&device, "limited", 2).await);
    device.kill();
    for name in ["plain", "limited"] {
        device.shim_record(name).shim.signal(Signal::KILL).unwrap();
    }
    device.start();
    site.platform.status_where(DEVICE, "restarted once more", restarted(2)).await;
    assert_eq!(alive(&before), 0, "{}", device.log());

    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    assert_eq!(device.workloads(), []);
}

#[tokio::test]
async fn what_a_killed_shim_leaves_behind_goes_also_when_nothing_is_to_run_any_more() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[python("plain", PARENT)])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let before = all_four(&device, "plain", 1).await;
    device.stop().await;
    device.shim_record("plain").shim.signal(Signal::KILL).unwrap();
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    device.start();
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    assert_eq!(alive(&before), 0, "{}", device.log());
    assert!(!device.process_folder("plain").path().exists());
}
