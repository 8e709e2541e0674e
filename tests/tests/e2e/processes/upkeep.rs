//! What a process has shown once stays so, what it left behind goes, and nobody's hand on its folder or its
//! shim makes two of it.

use std::fs;

use agent_model::status::{AgentStatus, ResourceState};
use rustix::process::Signal;
use serde_json::json;
use tests::{
    document::{manifest, process, script},
    eventually::eventually,
    site::{Access, DEVICE, Site},
};

use crate::status_words::{converged_at, listed, resource, stands};

#[tokio::test]
async fn a_process_that_has_started_is_not_asked_again_by_the_next_agent_though_it_is_not_ready() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    let folder = tempfile::tempdir().unwrap();
    let (up, ready) = (folder.path().join("up"), folder.path().join("ready"));
    let is_there = |file: &std::path::Path| json!({"exec": {"command": ["test", "-e", file]}, "interval": "200ms", "failureThreshold": 2});
    let mut web = process("web", &["sleep", "infinity"]);
    web["spec"]["probes"] = json!({"startup": is_there(&up), "readiness": is_there(&ready)});
    fs::write(&up, "").unwrap();
    fs::write(&ready, "").unwrap();
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[web])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let before = device.process("web");

    // Both would fail now, and only one of them is asked.
    fs::remove_file(&up).unwrap();
    fs::remove_file(&ready).unwrap();
    let not_ready = stands("web", ResourceState::Pending, "NotReady");
    site.platform.status_where(DEVICE, "not ready", &not_ready).await;
    device.kill();
    device.start();
    fs::write(&ready, "").unwrap();
    let status = site.platform.status_where(DEVICE, "ready again", converged_at(1)).await;
    assert_eq!((resource(&status, "web").restarts, device.process("web")), (0, before), "{}", device.log());
}

#[tokio::test]
async fn what_a_probe_that_succeeds_leaves_behind_goes_with_it() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("asked");
    let leaves = format!("sleep 1000 & echo >>{}", asked.display());
    let mut web = process("web", &["sleep", "infinity"]);
    web["spec"]["probes"] = json!({"liveness": {"exec": {"command": ["sh", "-c", leaves]}, "interval": "100ms", "timeout": "10s"}});
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[web])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    eventually("it was asked often", async || {
        let times = fs::read_to_string(&asked).unwrap_or_default().lines().count();
        if times >= 10 { Ok(()) } else { Err(format!("{times} times")) }
    })
    .await;
    // The shim, the process, and what is being asked at this moment with what it is about to leave behind.
    let left = device.workloads().len();
    assert!(left <= 4, "{left} are left\n{}", device.log());
}

#[tokio::test]
async fn a_process_whose_folder_somebody_removed_is_not_started_beside_itself() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[script("web", "sleep infinity & wait")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let before = device.process("web");
    device.kill();
    fs::remove_dir_all(device.state_dir()).unwrap();
    device.start();
    let started = |status: &AgentStatus| {
        converged_at(1)(status) && listed(status, "web").is_some_and(|web| web.details["pid"] != before.pid)
    };
    site.platform.status_where(DEVICE, "started again", started).await;
    assert!(!before.is_alive(), "{}", device.log());
    eventually("one of each is left", async || match device.workloads().len() {
        3 => Ok(()),
        count => Err(format!("{count} run")),
    })
    .await;
}

#[tokio::test]
async fn a_shim_that_somebody_else_asks_to_stop_is_an_end_like_any_other() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let mut once = process("once", &["sleep", "infinity"]);
    once["spec"]["restart"] = json!("Never");
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[once, process("web", &["sleep", "infinity"])])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    for name in ["once", "web"] {
        device.shim_record(name).shim.signal(Signal::TERM).unwrap();
    }
    site.platform
        .status_where(DEVICE, "the one for good, the other for now", |status| {
            stands("once", ResourceState::Failed, "Exited")(status)
                && stands("web", ResourceState::Failed, "CrashLoopBackOff")(status)
        })
        .await;
}

#[tokio::test]
async fn a_start_that_fails_neither_forgets_how_often_it_had_ended_nor_leaves_a_control_group() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let write = || {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write();
    device.start();
    let web = process("web", &[program.to_str().unwrap()]);
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[web])).await;
    let ended = |times: u64| {
        move |status: &AgentStatus| {
            stands("web", ResourceState::Failed, "CrashLoopBackOff")(status)
                && listed(status, "web").is_some_and(|web| web.attempts == times)
        }
    };
    site.platform.status_where(DEVICE, "ended twice", ended(2)).await;
    fs::remove_file(&program).unwrap();
    let not_found = stands("web", ResourceState::Failed, "CommandNotFound");
    site.platform.status_where(DEVICE, "not found", not_found).await;
    write();
    site.platform.status_where(DEVICE, "ended three times", ended(3)).await;

    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    assert!(device.control_groups().is_empty(), "{:?}", device.control_groups());
}
