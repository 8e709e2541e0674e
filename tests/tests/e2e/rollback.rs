//! A document is not ready in its time, and the device goes back to the one before it, by itself.

use std::fs;

use agent_model::{
    Timestamp,
    status::{AgentStatus, ConditionStatus, ConditionType, Phase},
};
use serde_json::{Value, json};
use tests::{
    agent::{Agent, crashed},
    document::{file, script, within},
    eventually::eventually,
    platform::DESIRED_STATE,
    site::{DEVICE, Site},
};

use crate::status_words::{accepted, converged_at, is, resource};

in_each_format!(
    a_device_goes_back_with_no_server_in_reach_and_says_why_when_there_is_one,
    an_agent_that_is_killed_meanwhile_goes_back_all_the_same_and_once,
    a_power_cut_before_the_old_document_is_in_force_again_only_delays_it,
    a_power_cut_while_the_old_document_is_put_back_does_not_have_it_done_twice,
    a_device_that_was_off_gives_one_more_try,
);

/// What every document declares alike.
fn steady() -> Value {
    script("steady", "exec sleep 1000")
}

/// A process that notes each of its starts.
fn web(device: &Agent) -> Value {
    script("web", &format!("echo started >> {}; exec sleep 1000", starts_file(device)))
}

/// One that never gets ready.
fn broken_web() -> Value {
    let mut web = script("web", "echo \"no way on with $TOKEN\" >&2; exec sleep 1000");
    web["spec"]["env"] = json!({"TOKEN": "hunter2"});
    web["spec"]["probes"] = json!({"readiness": {"exec": {"command": ["false"]}, "interval": "1s"}});
    web
}

fn starts_file(device: &Agent) -> String {
    device.path("/starts").to_str().unwrap().to_owned()
}

/// How often the old process was started.
fn starts(device: &Agent) -> usize {
    fs::read_to_string(starts_file(device)).unwrap_or_default().lines().count()
}

/// A device whose agent runs and has converged with generation 1.
async fn converged_device(site: &Site) -> Agent {
    let mut device = site.device();
    fs::create_dir_all(device.root()).unwrap();
    device.start();
    site.platform.put(DEVICE, &old(site, &device)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device
}

fn old(site: &Site, device: &Agent) -> Value {
    site.document(1, &[file("old", "/etc/old", "1"), steady(), web(device)])
}

/// Puts generation 2, which is never ready, and waits until it is in force.
async fn put_the_late_one(site: &Site, deadline: &str) {
    site.platform.put(DEVICE, &within(deadline, site.document(2, &[steady(), broken_web()]))).await;
    let is_in_force = |status: &AgentStatus| accepted(status) == Some(2) && status.rolled_back.is_none();
    site.platform.status_where(DEVICE, "the late one in force", is_in_force).await;
}

/// Waits until the agent says on the device that it went back.
async fn goes_back(device: &Agent) {
    eventually("the device goes back", async || match device.command(&["status"]).await {
        (Some(0), text) if text.contains("RolledBack") => Ok(()),
        (_, text) => Err(text),
    })
    .await;
}

/// Whether it went back from generation 2 and all of generation 1 is there.
fn is_back(status: &AgentStatus) -> bool {
    let late = status.rolled_back.as_ref().map(|late| late.generation.get());
    status.phase == Phase::RolledBack
        && (accepted(status), late) == (Some(1), Some(2))
        && is(status, ConditionType::Converged, ConditionStatus::True, "AllReady")
}

fn records(device: &Agent) -> usize {
    device.audit().iter().filter(|record| record["outcome"] == "RolledBack").count()
}

async fn a_device_goes_back_with_no_server_in_reach_and_says_why_when_there_is_one(site: &mut Site) {
    let device = converged_device(site).await;
    let untouched = device.process("steady");
    put_the_late_one(site, "6s").await;
    site.server.stop().await;
    goes_back(&device).await;
    eventually("the old process runs again", async || match starts(&device) {
        2 => Ok(()),
        starts => Err(format!("it was started {starts} times")),
    })
    .await;
    device.eventually_holds("/etc/old", "1").await;
    let (_, shown) = device.command(&["status"]).await;
    assert!(
        shown.contains("ROLLED BACK from generation 2") && shown.contains("| no way on with ***"),
        "{shown}"
    );

    site.server.start_again().await;
    let status = site.platform.status_where(DEVICE, "back", is_back).await;
    assert_eq!(status.highest_generation.map(u64::from), Some(2));
    assert_eq!(status.applied.as_ref().map(|applied| u64::from(applied.generation)), Some(1));
    assert!(is(&status, ConditionType::Accepted, ConditionStatus::True, "Accepted"), "{status:#?}");
    let late = status.rolled_back.clone().unwrap();
    assert_eq!(late.reason, "DeadlineExceeded");
    assert!(late.message.contains("6s") && late.message.contains("Process \"web\""), "{}", late.message);
    assert_eq!((late.resources.len(), late.resources[0].name.as_str()), (1, "web"));
    assert_eq!(late.resources[0].log_tail.as_deref(), Some("no way on with ***"));
    assert_eq!(device.process("steady"), untouched, "what both declare alike runs on");
    assert_eq!(resource(&status, "steady").restarts, 0);
    let entry = site.platform.entry(DESIRED_STATE, DEVICE).await.unwrap().unwrap();
    assert_eq!(status.desired.as_ref().map(|desired| desired.revision), Some(entry.revision));
    let tells = |events: &[agent_model::status::Event]| {
        events.iter().filter(|event| event.event_type == "RolledBack").count() == 1
    };
    site.platform.events_where(DEVICE, "that it went back", tells).await;

    site.platform.put(DEVICE, &site.document(3, &[steady(), file("new", "/etc/new", "3")])).await;
    let status = site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    assert_eq!((status.rolled_back, starts(&device)), (None, 2));
    assert_eq!(device.process("steady"), untouched);
}

async fn an_agent_that_is_killed_meanwhile_goes_back_all_the_same_and_once(site: &mut Site) {
    let mut device = converged_device(site).await;
    put_the_late_one(site, "8s").await;
    for _ in 0..2 {
        device.kill();
        device.start();
    }
    site.platform.status_where(DEVICE, "back", is_back).await;
    for _ in 0..2 {
        device.kill();
        device.start();
        site.platform.status_where(DEVICE, "back still", is_back).await;
    }
    assert_eq!((starts(&device), records(&device)), (2, 1));
}

async fn a_power_cut_before_the_old_document_is_in_force_again_only_delays_it(site: &mut Site) {
    goes_back_over_a_crash_at("observe File:/etc/old", site).await;
}

async fn a_power_cut_while_the_old_document_is_put_back_does_not_have_it_done_twice(site: &mut Site) {
    goes_back_over_a_crash_at("apply File:/etc/old", site).await;
}

async fn goes_back_over_a_crash_at(place: &str, site: &Site) {
    let mut device = converged_device(site).await;
    put_the_late_one(site, "6s").await;
    device.kill();
    device.start_to_crash_at(place);
    assert!(crashed(device.end().await), "it did not crash\n{}", device.log());
    device.start();
    site.platform.status_where(DEVICE, "back", is_back).await;
    device.eventually_holds("/etc/old", "1").await;
    assert_eq!((starts(&device), records(&device)), (2, 1));
}

async fn a_device_that_was_off_gives_one_more_try(site: &mut Site) {
    let mut device = converged_device(site).await;
    put_the_late_one(site, "3s").await;
    device.power_off();
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let started_after = Timestamp::now();
    device.start();
    let tries_on = |status: &AgentStatus| {
        status.agent_info.started_at >= started_after
            && accepted(status) == Some(2)
            && status.rolled_back.is_none()
    };
    site.platform.status_where(DEVICE, "tried once more", tries_on).await;
    let status = site.platform.status_where(DEVICE, "back", is_back).await;
    assert!(status.rolled_back.unwrap().message.contains("Process \"web\""));
    assert_eq!((starts(&device), records(&device)), (2, 1));
}
