//! A document crashes the agent again and again: it is left alone, and so is all that runs.

use std::{collections::BTreeMap, fs, path::PathBuf};

use agent_model::status::{AgentStatus, ConditionStatus, ConditionType, Phase, ResourceState};
use serde_json::Value;
use tests::{
    agent::{Agent, crashed},
    document::{authored, file},
    eventually::eventually,
    harmonyctl::Harmonyctl,
    site::{Access, DEVICE, Site},
    snapshot::{FileState, snapshot, temporary_files},
};

use crate::status_words::{accepted, converged_at, is};

in_each_format!(
    a_document_that_crashes_once_in_force_is_left_alone_and_a_newer_one_ends_that,
    a_document_that_crashes_before_it_is_in_force_is_left_alone_and_a_newer_one_ends_that,
    the_first_document_of_a_device_is_left_alone_too,
);

/// Where the agent crashes: before the document is in force, because it looks at everything first …
const OBSERVING: &str = "observe File:/etc/bad";
/// … and when it is in force already.
const APPLYING: &str = "apply File:/etc/bad";

/// The document with which the agent crashes. It declares nothing of what was declared before.
fn bad() -> [Value; 1] {
    [file("bad", "/etc/bad", "2")]
}

/// A stopped device that converged at generation 1 with `/etc/a` holding `1`.
async fn converged_device(site: &Site) -> Agent {
    let mut device = site.device().with("drift_interval", "1s");
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device.stop().await;
    device
}

/// So many starts, each of which crashes at that place.
async fn crash(device: &mut Agent, place: &str, times: usize) {
    for n in 1..=times {
        device.start_to_crash_at(place);
        assert!(crashed(device.end().await), "start {n} did not crash\n{}", device.log());
    }
}

fn is_safe(status: &AgentStatus) -> bool {
    is(status, ConditionType::SafeMode, ConditionStatus::True, "RepeatedCrashes")
}

fn files(device: &Agent) -> BTreeMap<PathBuf, FileState> {
    snapshot(&device.path("/etc"))
}

/// Waits until the drift timer has come round twice more, so that whatever were to be done would be done.
async fn nothing_happens(device: &Agent) {
    let passes = |log: &str| log.matches("pass reason=Drift").count();
    let before = passes(&device.log());
    eventually("two passes came and went", async || match passes(&device.log()) - before {
        ..2 => Err("they did not yet".to_owned()),
        2.. => Ok(()),
    })
    .await;
}

/// Waits until the agent has come through its first pass.
async fn the_pass_is_over(device: &Agent) {
    eventually("nothing is under way", async || match unfinished(device).exists() {
        true => Err("something is".to_owned()),
        false => Ok(()),
    })
    .await;
}

fn unfinished(device: &Agent) -> PathBuf {
    device.state_dir().join("unfinished.json")
}

/// Crashes with generation 2 until the agent leaves it alone, and looks at what is left alone.
async fn left_alone(site: &Site, place: &str) -> Agent {
    let mut device = converged_device(site).await;
    site.platform.put(DEVICE, &site.document(2, &bad())).await;
    crash(&mut device, place, 5).await;
    device.write_by_hand("/etc/a", "by hand");
    let before = files(&device);
    device.start_to_crash_at(place);
    let status = site.platform.status_where(DEVICE, "safe mode", is_safe).await;
    assert_eq!(status.phase, Phase::Degraded);
    assert!(is(&status, ConditionType::Converged, ConditionStatus::False, "Failing"), "{status:#?}");
    assert!(!status.resources.is_empty());
    for resource in &status.resources {
        assert_eq!((resource.state, resource.reason.as_str()), (ResourceState::Pending, "SafeMode"));
    }
    device.write_by_hand("/etc/a", "by hand again");
    device.write_by_hand("/etc/a", "by hand");
    nothing_happens(&device).await;
    let contents = |files: &BTreeMap<PathBuf, FileState>| -> Vec<Vec<u8>> {
        files.values().map(|file| file.content.clone()).collect()
    };
    assert_eq!(contents(&files(&device)), contents(&before));
    assert_eq!(temporary_files(&device.state_dir()), Vec::<PathBuf>::new());
    device
}

/// A newer document is applied by the very agent that crashes with the one before it.
async fn a_newer_one_is_applied(site: &Site, device: &mut Agent) {
    site.platform.put(DEVICE, &site.document(3, &[file("a", "/etc/a", "3")])).await;
    let status = site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    assert!(is(&status, ConditionType::SafeMode, ConditionStatus::False, "NotNeeded"), "{status:#?}");
    assert_eq!(device.read("/etc/a"), "3");
    assert!(!device.path("/etc/bad").exists());
    let log = device.log();
    assert_eq!(log.matches("safe mode ends").count(), 1, "{log}");
    assert!(!unfinished(device).exists(), "nothing is under way any more");

    device.stop().await;
    device.write_by_hand("/etc/a", "by hand");
    device.start();
    device.eventually_holds("/etc/a", "3").await;
}

async fn a_document_that_crashes_once_in_force_is_left_alone_and_a_newer_one_ends_that(site: &mut Site) {
    let mut device = left_alone(site, APPLYING).await;
    let status = site.platform.status(DEVICE).await.unwrap();
    assert_eq!(accepted(&status), Some(2));
    assert!(is(&status, ConditionType::Accepted, ConditionStatus::True, "Accepted"), "{status:#?}");

    // It lasts over restarts, also of an agent without the defect, and is told once by each.
    device.stop().await;
    let told = device.log().matches("safe mode:").count();
    device.start();
    nothing_happens(&device).await;
    assert!(is_safe(&site.platform.status(DEVICE).await.unwrap()));
    assert_eq!((device.read("/etc/a").as_str(), device.path("/etc/bad").exists()), ("by hand", false));
    device.kill();
    device.start_to_crash_at(APPLYING);
    nothing_happens(&device).await;
    assert_eq!(device.log().matches("safe mode:").count(), told + 2);
    a_newer_one_is_applied(site, &mut device).await;
}

async fn a_document_that_crashes_before_it_is_in_force_is_left_alone_and_a_newer_one_ends_that(
    site: &mut Site,
) {
    let mut device = left_alone(site, OBSERVING).await;
    let status = site.platform.status(DEVICE).await.unwrap();
    assert_eq!(accepted(&status), Some(1));
    assert!(is(&status, ConditionType::Accepted, ConditionStatus::Unknown, "SafeMode"), "{status:#?}");
    a_newer_one_is_applied(site, &mut device).await;
}

async fn the_first_document_of_a_device_is_left_alone_too(site: &mut Site) {
    let mut device = site.device();
    site.platform.put(DEVICE, &site.document(1, &bad())).await;
    crash(&mut device, OBSERVING, 5).await;
    device.start_to_crash_at(OBSERVING);
    let status = site.platform.status_where(DEVICE, "safe mode", is_safe).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Unassigned, None));
    assert!(is(&status, ConditionType::Accepted, ConditionStatus::Unknown, "SafeMode"), "{status:#?}");
    a_newer_one_is_applied(site, &mut device).await;
}

#[tokio::test]
async fn resume_lets_a_running_agent_try_the_document_again_at_once() {
    for place in [OBSERVING, APPLYING] {
        let site = Site::start(Access::Restricted).await;
        let mut device = left_alone(&site, place).await;
        let printed = device.told(&["status"]).await;
        for part in ["SafeMode     True", "generation 2", "5 times", "`harmony-agent resume`"] {
            assert!(printed.contains(part), "{part} is missing: {printed}");
        }
        let checked = device.check().await.1;
        assert!(checked.contains("warning  safe mode      the agent crashed 5 times"), "{checked}");

        let printed = device.told(&["resume"]).await;
        assert!(printed.contains("safe mode is ended: generation 2"), "{printed}");
        assert!(crashed(device.end().await), "it was not tried again\n{}", device.log());
        assert!(device.told(&["resume"]).await.contains("no safe mode"));

        // With an agent that has not this defect nothing is in the way.
        device.start();
        let status = site.platform.status_where(DEVICE, "converged", converged_at(2)).await;
        assert!(is(&status, ConditionType::SafeMode, ConditionStatus::False, "NotNeeded"), "{status:#?}");
        assert_eq!(device.read("/etc/bad"), "2");
        site.assert_nothing_was_forbidden();
    }
}

#[tokio::test]
async fn resume_also_ends_safe_mode_while_no_agent_runs_and_a_pause_with_it() {
    let site = Site::start(Access::Restricted).await;
    let mut device = left_alone(&site, APPLYING).await;
    device.told(&["pause"]).await;
    let both = |status: &AgentStatus| {
        is_safe(status) && is(status, ConditionType::Paused, ConditionStatus::True, "Paused")
    };
    site.platform.status_where(DEVICE, "paused in safe mode", both).await;
    device.stop().await;
    let printed = device.told(&["resume"]).await;
    assert!(printed.contains("safe mode is ended") && printed.contains("resumed"), "{printed}");
    device.start();
    site.platform.status_where(DEVICE, "converged", converged_at(2)).await;
}

#[tokio::test]
async fn one_pass_that_finishes_resets_the_count() {
    let site = Site::start(Access::Restricted).await;
    let mut device = converged_device(&site).await;
    site.platform.put(DEVICE, &site.document(2, &bad())).await;
    for place in [OBSERVING, APPLYING] {
        crash(&mut device, place, 4).await;
        device.start();
        device.eventually_holds("/etc/bad", "2").await;
        the_pass_is_over(&device).await;
        assert!(!is_safe(&site.platform.status_where(DEVICE, "converged", converged_at(2)).await));
        device.stop().await;
        fs::remove_file(device.path("/etc/bad")).unwrap();
    }
}

#[tokio::test]
async fn an_agent_that_panics_has_crashed_too() {
    let site = Site::start(Access::Restricted).await;
    let mut device = converged_device(&site).await;
    site.platform.put(DEVICE, &site.document(2, &bad())).await;
    for _ in 0..5 {
        device.start_to_panic_at(APPLYING);
        let status = device.end().await;
        assert_eq!(status.code(), Some(101), "{status}\n{}", device.log());
    }
    device.start_to_panic_at(APPLYING);
    site.platform.status_where(DEVICE, "safe mode", is_safe).await;
}

#[tokio::test]
async fn an_agent_that_is_killed_outside_of_a_first_pass_or_stopped_has_not_crashed() {
    let site = Site::start(Access::Restricted).await;
    let mut device = converged_device(&site).await;
    for n in 0..12 {
        device.write_by_hand("/etc/a", "by hand");
        device.start();
        device.eventually_holds("/etc/a", "1").await;
        if n % 2 == 0 {
            device.stop().await;
        } else {
            the_pass_is_over(&device).await;
            device.kill();
        }
    }
    device.write_by_hand("/etc/a", "by hand");
    device.start();
    device.eventually_holds("/etc/a", "1").await;
    assert!(!device.log().contains("safe mode:"), "{}", device.log());
}

#[tokio::test]
async fn whoever_waits_for_a_device_in_safe_mode_is_told_at_once() {
    for place in [OBSERVING, APPLYING] {
        let site = Site::start(Access::Restricted).await;
        let _device = left_alone(&site, place).await;
        let shell = Harmonyctl::new(site.server.url_with_credentials());
        let waited = shell.run(&["wait", "agent", DEVICE, "--timeout", "1h"]).await;
        assert_eq!(waited.code, Some(3), "{waited:?}");
        assert!(waited.stderr.contains("in safe mode and does not apply generation 2"), "{waited:?}");
        let applied = shell.apply(&[authored(DEVICE, &[file("a", "/etc/a", "3")])]).await;
        assert_eq!(applied.code, Some(0), "{applied:?}");
    }
}
