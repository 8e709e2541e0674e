//! A device that lost the key for sealed values, as an SD card that forgets does: what cannot be opened stays as it is,
//! what can be kept running is, nothing secret stays behind, and somebody is told.

use std::fs;

use agent_model::{
    SealingKey,
    status::{AgentStatus, ConditionStatus, ConditionType, ResourceState},
};
use serde_json::json;
use tests::{
    agent::Agent,
    document::{file, process},
    site::{Access, DEVICE, Site},
};

use super::{SECRET, key_of, sealed, sealed_file, with_variable};
use crate::status_words::{accepted, converged_at, is, resource};

/// Stops the agent and takes its key away.
async fn lose_the_key(device: &mut Agent) {
    device.stop().await;
    fs::remove_file(device.state_dir().join("sealing.nk")).unwrap();
}

fn is_closed(status: &AgentStatus, name: &str) -> bool {
    let found = resource(status, name);
    found.state == ResourceState::Failed && found.reason == "SealedToAnotherKey"
}

#[tokio::test]
async fn what_cannot_be_opened_is_left_alone_and_the_rest_goes_on() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let lost = key_of(&device).await;
    let resources = |to: &SealingKey| {
        let mut follower = process("follower", &["sleep", "infinity"]);
        follower["restartOn"] = json!(["conf"]);
        [
            sealed_file("conf", "/etc/app.conf", &sealed(SECRET, to)),
            with_variable(process("web", &["sleep", "infinity"]), "TOKEN", &sealed(SECRET, to)),
            file("fine", "/etc/fine", "fine"),
            follower,
        ]
    };
    site.platform.put(DEVICE, &site.document(1, &resources(&lost))).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let pids = ["web", "follower"].map(|name| device.process(name).pid);

    lose_the_key(&mut device).await;
    fs::remove_file(device.path("/etc/fine")).unwrap();
    device.start();
    let closed = |status: &AgentStatus| {
        is_closed(status, "conf")
            && is_closed(status, "web")
            && resource(status, "fine").reason == "InSync"
            && resource(status, "follower").state == ResourceState::Ready
    };
    let status = site.platform.status_where(DEVICE, "what cannot be opened", closed).await;
    let new = status.agent_info.sealing_key.clone().unwrap();
    assert_ne!(new, lost);
    for (name, place) in [("conf", "content: "), ("web", "env TOKEN: ")] {
        let message = &resource(&status, name).message;
        assert!(message.starts_with(place) && message.ends_with(&format!("--to {new}")), "{message}");
    }
    assert_eq!(accepted(&status), Some(1), "it stays in force");
    assert_eq!(device.read("/etc/fine"), "fine");
    assert_eq!(device.read("/etc/app.conf"), SECRET, "what is there stays there");
    assert_eq!(["web", "follower"].map(|name| device.process(name).pid), pids);
    assert!(is(&status, ConditionType::Converged, ConditionStatus::False, "Failing"));

    site.platform.put(DEVICE, &site.document(2, &resources(&new))).await;
    site.platform.status_where(DEVICE, "sealed to the new key", converged_at(2)).await;
    assert_eq!(device.read("/etc/app.conf"), SECRET);
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn what_restarts_with_a_file_that_cannot_be_opened_is_kept_running_when_it_dies_and_after_a_reboot() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let lost = key_of(&device).await;
    let mut follower = process("follower", &["sleep", "infinity"]);
    follower["restartOn"] = json!(["conf"]);
    let mut dependent = process("dependent", &["sleep", "infinity"]);
    dependent["dependsOn"] = json!(["conf"]);
    let conf = sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &lost));
    let resources = [conf, follower, dependent];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    let first = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    lose_the_key(&mut device).await;
    device.start();
    let names = ["follower", "dependent"];
    let kept = |status: &AgentStatus| {
        is_closed(status, "conf")
            && names.iter().all(|name| resource(status, name).state == ResourceState::Ready)
    };
    site.platform.status_where(DEVICE, "what cannot be opened", kept).await;
    for name in names {
        let pid = rustix::process::Pid::from_raw(device.process(name).pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    let restarted = |times| {
        move |status: &AgentStatus| {
            kept(status) && names.iter().all(|name| resource(status, name).restarts == times)
        }
    };
    site.platform.status_where(DEVICE, "both run again", restarted(1)).await;
    assert!(names.iter().all(|name| runs(&device, name)));
    device.power_off();
    device.start();
    let status = site.platform.status_where(DEVICE, "both run after a reboot", restarted(2)).await;
    assert!(names.iter().all(|name| runs(&device, name)));
    for name in names {
        let (first, now) = (resource(&first, name), resource(&status, name));
        assert_eq!(first.changes, now.changes, "{name} is what it was");
    }
    assert_eq!(device.read("/etc/app.conf"), SECRET);
}

#[tokio::test]
async fn what_needs_a_file_that_never_came_about_waits_on_when_it_cannot_be_opened_any_more() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let lost = key_of(&device).await;
    let first = file("fine", "/etc/fine", "fine");
    site.platform.put(DEVICE, &site.document(1, std::slice::from_ref(&first))).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device.write_by_hand("/etc/taken", "no folder");
    let mut dependent = process("dependent", &["sleep", "infinity"]);
    dependent["dependsOn"] = json!(["conf"]);
    let conf = sealed_file("conf", "/etc/taken/app.conf", &sealed(SECRET, &lost));
    site.platform.put(DEVICE, &site.document(2, &[first, conf, dependent])).await;
    let waits = |status: &AgentStatus| resource(status, "dependent").reason == "DependencyNotReady";
    let failed = |status: &AgentStatus| accepted(status) == Some(2) && waits(status);
    site.platform.status_where(DEVICE, "the file is in the way", failed).await;

    lose_the_key(&mut device).await;
    device.start();
    let closed = |status: &AgentStatus| is_closed(status, "conf") && waits(status);
    site.platform.status_where(DEVICE, "what cannot be opened", closed).await;
}

/// Whether that process of the device runs.
fn runs(device: &Agent, name: &str) -> bool {
    // One that has ended and was not waited for has no environment.
    fs::read(format!("/proc/{}/environ", device.process(name).pid))
        .is_ok_and(|variables| !variables.is_empty())
}

#[tokio::test]
async fn a_sealed_file_that_is_declared_no_longer_goes_and_what_it_had_replaced_comes_back() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    fs::create_dir_all(device.path("/etc")).unwrap();
    device.write_by_hand("/etc/app.conf", "of before");
    device.start();
    let to = key_of(&device).await;
    let resources = [
        sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &to)),
        sealed_file("new", "/etc/new.conf", &sealed(SECRET, &to)),
    ];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    lose_the_key(&mut device).await;
    site.platform.put(DEVICE, &site.document(2, &[])).await;
    device.start();
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    assert_eq!(device.read("/etc/app.conf"), "of before");
    assert!(!device.path("/etc/new.conf").exists());
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn a_device_that_is_not_new_says_that_its_key_is_gone_before_and_after_it_made_another() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let lost = key_of(&device).await;
    let conf = sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &lost));
    site.platform.put(DEVICE, &site.document(1, &[conf])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert!(!device.log().contains("sealing.nk"), "a new device has nothing to say: {}", device.log());
    let line = async |device: &Agent| {
        let (_, printed) = device.check().await;
        let found = printed.lines().find(|line| line.contains(" sealing key "));
        found.unwrap_or_else(|| panic!("no line about the key: {printed}")).to_owned()
    };
    let sound = line(&device).await;
    assert!(sound.starts_with("ok ") && sound.contains(lost.as_str()), "{sound}");

    lose_the_key(&mut device).await;
    let gone = line(&device).await;
    assert!(gone.starts_with("warning ") && gone.contains("sealing.nk"), "{gone}");
    assert!(!device.state_dir().join("sealing.nk").exists(), "looking makes no key");

    device.start();
    let status =
        site.platform.status_where(DEVICE, "the loss", |status: &AgentStatus| is_closed(status, "conf"));
    let new = status.await.agent_info.sealing_key.unwrap();
    let another = line(&device).await;
    assert!(another.starts_with("warning ") && another.contains(&format!("--to {new}")), "{another}");
    let log = device.log();
    let warned = log.lines().find(|line| line.contains("WARN") && line.contains("sealing.nk"));
    assert!(warned.is_some_and(|line| line.contains("harmonyctl secret seal")), "{log}");
}
