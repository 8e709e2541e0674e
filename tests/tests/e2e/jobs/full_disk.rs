//! On a full disk no job runs of which nobody would know, and none that runs is forgotten.

use std::{fs, os::unix::fs::symlink};

use agent_model::status::{
    AgentStatus, ConditionStatus, ConditionType,
    ResourceState::{Failed, Pending, Ready},
};
use serde_json::json;
use tests::{
    document::{file, job, manifest},
    eventually::eventually,
    site::{Access, DEVICE, Site},
    small_disk::SmallDisk,
};

use super::{allowing, lines, open_folder};
use crate::status_words::{converged_at, is, listed, of_a_later_process, stands};

#[tokio::test]
async fn a_job_whose_start_cannot_be_noted_does_not_run_until_it_can_be() {
    let site = Site::start(Access::Restricted).await;
    let (folder, disk) = (open_folder(), SmallDisk::new(64 << 10));
    let runs = folder.path().join("runs");
    let mut once = job("once", &format!("echo run >> {}", runs.display()));
    once["spec"]["writablePaths"] = json!([folder.path()]);
    let mut device = allowing(site.device(), &[&once]);
    // The history alone is on a full disk: were the ledger too, nothing would so much as be accepted.
    fs::create_dir(device.state_dir()).unwrap();
    fs::write(disk.path().join("jobs.jsonl"), "").unwrap();
    symlink(disk.path().join("jobs.jsonl"), device.state_dir().join("jobs.jsonl")).unwrap();
    disk.leave(0);
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[once, file("config", "/etc/config", "1")])).await;
    let not_noted = |status: &AgentStatus| {
        stands("once", Failed, "HistoryUnwritable")(status)
            && status.resources.iter().any(|it| it.name == "config" && it.state == Ready)
    };
    let status = site.platform.status_where(DEVICE, "it cannot be noted", not_noted).await;
    let once = listed(&status, "once").unwrap();
    for word in ["jobs.jsonl", "No space left", "free some space"] {
        assert!(once.message.contains(word), "no {word:?} in {once:?}");
    }
    assert!(once.next_retry.is_some(), "{once:?}");
    assert_eq!((lines(&runs), device.workloads()), (0, vec![]));

    disk.make_room();
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(lines(&runs), 1);
}

#[tokio::test]
async fn how_a_job_ended_is_known_though_the_disk_was_full_by_then_and_it_runs_once() {
    let site = Site::start(Access::Restricted).await;
    let (folder, disk) = (open_folder(), SmallDisk::new(1 << 20));
    let (runs, go) = (folder.path().join("runs"), folder.path().join("go"));
    let script = format!(
        "until test -e {}; do sleep 0.05; done; seq 1 20000; echo run >> {}",
        go.display(),
        runs.display()
    );
    let mut once = job("once", &script);
    once["spec"]["writablePaths"] = json!([folder.path()]);
    let mut device = allowing(site.device(), &[&once]).with_state_dir(disk.path().join("state"));
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[once])).await;
    site.platform.status_where(DEVICE, "it runs", stands("once", Pending, "Running")).await;

    disk.leave(0);
    fs::write(&go, "").unwrap();
    let full =
        |status: &AgentStatus| is(status, ConditionType::StateStore, ConditionStatus::False, "DiskFull");
    site.platform.status_where(DEVICE, "that it ended cannot be noted", full).await;
    let over = async || if device.workloads().is_empty() { Ok(()) } else { Err("it runs".to_owned()) };
    eventually("it is over", over).await;
    assert_eq!(lines(&runs), 1);

    disk.make_room();
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let details = &listed(&status, "once").unwrap().details;
    assert_eq!((&details["exitCode"], &details["attempt"]), (&json!(0), &json!(1)), "{details}");
    device.stop().await;
    device.start();
    let is_later = of_a_later_process(&status);
    let later = |status: &AgentStatus| is_later(status) && converged_at(1)(status);
    site.platform.status_where(DEVICE, "another agent", later).await;
    assert_eq!(lines(&runs), 1);
}
