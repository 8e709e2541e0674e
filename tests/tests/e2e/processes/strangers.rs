//! Numbers of processes are used again, and by the next boot all of them: a stranger is neither taken for
//! ours nor ended.

use std::fs;

use agent_model::status::AgentStatus;
use process_shim::{ProcessIdentity, ShimRecord};
use serde_json::json;
use tests::{
    agent::Agent,
    document::{manifest, process},
    eventually::eventually,
    process::Process,
    site::{Access, DEVICE, Site},
};

use crate::status_words::{converged_at, listed, resource};

const OTHER_BOOT: &str = "00000000-0000-4000-8000-000000000000";

/// Somebody who has nothing to do with the agent, and leads a session.
struct Stranger {
    // Ends with the test.
    _program: Process,
    identity: ProcessIdentity,
    _folder: tempfile::TempDir,
}

impl Stranger {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = ["setsid", "sleep", "infinity"].map(str::to_owned);
        let program = Process::start("stranger", &command, &[], &folder.path().join("log")).unwrap();
        let pid = program.id();
        let identity = eventually("the stranger sleeps", async || {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).map_err(|error| error.to_string())?;
            let identity = ProcessIdentity::of(pid).map_err(|error| error.to_string())?;
            identity.filter(|_| name == "sleep\n").ok_or(name)
        })
        .await;
        Self { _program: program, identity, _folder: folder }
    }
}

/// A device that was converged with one process and has lost its agent and all that ran.
async fn powered_off(site: &Site) -> Agent {
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[process("web", &["sleep", "infinity"])])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device.power_off();
    device
}

/// Starts the agent again with that record of a shim in place of the true one. The process is started
/// again, and the stranger lives on, also when nothing is to run any more.
async fn starts_its_own(site: &Site, device: &mut Agent, stranger: &Stranger, record: &ShimRecord) {
    let file = device.process_folder("web").shim_record();
    record.write(&file).unwrap();
    device.start();
    let own = |status: &AgentStatus| {
        converged_at(1)(status) && listed(status, "web").is_some_and(|web| web.restarts == 1)
    };
    let status = site.platform.status_where(DEVICE, "started again", own).await;
    let process = device.process("web");
    assert_eq!(resource(&status, "web").details["pid"], process.pid);
    assert!(process != stranger.identity && process.is_alive());
    assert!(stranger.identity.is_alive(), "the stranger was ended\n{}", device.log());

    device.power_off();
    record.write(&file).unwrap();
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    device.start();
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    assert!(!file.exists());
    assert!(stranger.identity.is_alive(), "the stranger was ended\n{}", device.log());
}

#[tokio::test]
async fn whoever_has_the_number_of_a_process_of_an_earlier_boot_is_a_stranger() {
    let site = Site::start(Access::Open).await;
    let mut device = powered_off(&site).await;
    let stranger = Stranger::start().await;
    // Even when it was started at the same moment of its boot.
    let record = ShimRecord {
        boot_id: OTHER_BOOT.to_owned(),
        shim: stranger.identity,
        process: Some(stranger.identity),
        ..device.shim_record("web")
    };
    fs::remove_file(device.process_folder("web").exit_record()).unwrap_or_default();
    starts_its_own(&site, &mut device, &stranger, &record).await;
}

#[tokio::test]
async fn whoever_has_the_number_of_a_process_that_started_at_another_moment_is_a_stranger() {
    let site = Site::start(Access::Open).await;
    let mut device = powered_off(&site).await;
    let stranger = Stranger::start().await;
    let before = ProcessIdentity { start_time: stranger.identity.start_time - 1, ..stranger.identity };
    let record = ShimRecord { shim: before, process: Some(before), ..device.shim_record("web") };
    starts_its_own(&site, &mut device, &stranger, &record).await;
}

#[tokio::test]
async fn a_new_boot_starts_everything_again_without_a_server() {
    let mut site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let mut once = process("once", &["true"]);
    once["spec"]["restart"] = json!("Never");
    let mut failed = process("failed", &["false"]);
    failed["spec"]["restart"] = json!("Never");
    let resources = [process("web", &["sleep", "infinity"]), once, failed];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    site.platform.status_where(DEVICE, "two that are ready", |status| status.summary.ready == 2).await;
    let before = ["web", "once", "failed"].map(|name| device.shim_record(name));
    device.power_off();
    site.server.stop().await;

    device = device.with_boot_id(OTHER_BOOT);
    device.start();
    eventually("all of it ran again", async || {
        for name in ["web", "once", "failed"] {
            let record = ShimRecord::read(&device.process_folder(name).shim_record()).unwrap();
            let record = record.ok_or_else(|| format!("{name} was not started"))?;
            if !record.boot_id.starts_with(OTHER_BOOT) || record.process.is_none() {
                return Err(format!("{name}: {record:?}"));
            }
        }
        Ok(())
    })
    .await;
    assert!(device.process("web").is_alive());
    assert!(before.iter().all(|record| !record.boot_id.starts_with(OTHER_BOOT)));

    site.server.start_again().await;
    let ready_again = |status: &AgentStatus| {
        status.summary.ready == 2 && status.agent_info.boot_id.as_deref() == Some(OTHER_BOOT)
    };
    let status = site.platform.status_where(DEVICE, "ready again", ready_again).await;
    for name in ["web", "once", "failed"] {
        let resource = resource(&status, name);
        assert_eq!((resource.restarts, resource.changes, resource.drift_corrections), (1, 1, 0), "{name}");
    }
}
