//! A process that ends by itself is started again by its restart policy, with growing pauses.

use agent_model::{
    Timestamp,
    status::{AgentStatus, ConditionStatus, ConditionType, Phase, ResourceState},
};
use serde_json::{Value, json};
use tests::{
    document::{authored, file_after, manifest, process, script},
    harmonyctl::Harmonyctl,
    site::{Access, DEVICE, Site},
};

use super::logged;
use crate::status_words::{converged_at, is, listed, of_a_later_process, resource, stands};

/// Says when it was started, by the clock that the agent and nobody else can set, and fails.
const FAILING: &str = "cut -d' ' -f1 /proc/uptime; exit 3";

fn has_ended(times: u64) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        stands("failing", ResourceState::Failed, "CrashLoopBackOff")(status)
            && resource(status, "failing").attempts == times
    }
}

#[tokio::test]
async fn pauses_grow_and_are_told_and_outlast_the_agent_and_a_mended_document_ends_them() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[script("failing", FAILING)])).await;
    for times in 1..=4 {
        let status = site.platform.status_where(DEVICE, &format!("{times} ends"), has_ended(times)).await;
        assert_eq!(status.phase, Phase::Degraded);
        assert!(is(&status, ConditionType::Converged, ConditionStatus::False, "Failing"));
        let failing = resource(&status, "failing");
        assert_eq!((failing.restarts, failing.changes, failing.drift_corrections), (times - 1, 1, 0));
        assert!(failing.message.contains("ended with code 3"), "{}", failing.message);
        let next = failing.next_retry.expect("it says when it is started again");
        assert!(next > failing.since, "{failing:?}");
        if times == 3 {
            device.kill();
            device.start();
            let is_later = of_a_later_process(&status);
            let by_the_next = |status: &AgentStatus| is_later(status) && has_ended(3)(status);
            let status = site.platform.status_where(DEVICE, "the same after a restart", by_the_next).await;
            assert_eq!(resource(&status, "failing").restarts, 2);
        }
    }
    let starts: Vec<f64> = logged(&device, "failing").iter().map(|line| line.parse().unwrap()).collect();
    let pauses: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() == 3 && pauses[0] >= 0.9 && pauses[1] >= 1.9 && pauses[2] >= 3.9, "{pauses:?}");

    // The next pause is of eight seconds; nobody waits for its end.
    let mended = Timestamp::now();
    site.platform.put(DEVICE, &site.document(2, &[script("failing", "sleep infinity")])).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(2)).await;
    let failing = resource(&status, "failing");
    assert_eq!((failing.attempts, failing.next_retry, failing.changes), (0, None, 2));
    assert_eq!((failing.restarts, failing.drift_corrections), (4, 0));
    assert!(status.applied.unwrap().at.since(mended).as_secs() < 6, "it waited for the end of the pause");
}

#[tokio::test]
async fn whoever_applies_a_document_with_a_process_that_does_not_stay_up_is_told_so() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    site.device_was_seen().await;
    let ran =
        Harmonyctl::new(site.server.url()).apply(&[authored(DEVICE, &[script("failing", FAILING)])]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let said = ran.stdout + &ran.stderr;
    assert!(
        said.contains("failing") && said.contains("CrashLoopBackOff") && said.contains("code 3"),
        "{said}"
    );
}

fn with_restart(mut process: Value, policy: &str) -> Value {
    process["spec"]["restart"] = json!(policy);
    process
}

#[tokio::test]
async fn how_a_process_ended_is_told_and_its_policy_says_what_comes_of_it() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let resources = [
        with_restart(process("done", &["true"]), "Never"),
        with_restart(process("done-too", &["true"]), "OnFailure"),
        with_restart(script("failed", "exit 7"), "Never"),
        with_restart(script("tried-again", "exit 8"), "OnFailure"),
        with_restart(script("killed", "kill -SEGV $$"), "Never"),
        with_restart(script("killed-too", "kill -40 $$"), "Never"),
        with_restart(process("again", &["true"]), "Always"),
        file_after("after", &["done", "done-too"], "/etc/after", "done"),
        file_after("never", &["failed"], "/etc/never", "never"),
    ];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    let expected = [
        ("done", ResourceState::Ready, "Completed", "ended with code 0"),
        ("done-too", ResourceState::Ready, "Completed", "ended with code 0"),
        ("failed", ResourceState::Failed, "Exited", "ended with code 7"),
        ("tried-again", ResourceState::Failed, "CrashLoopBackOff", "ended with code 8"),
        ("killed", ResourceState::Failed, "Exited", "was ended by SIGSEGV"),
        ("killed-too", ResourceState::Failed, "Exited", "was ended by signal 40"),
        ("again", ResourceState::Failed, "CrashLoopBackOff", "ended with code 0"),
    ];
    let as_expected = |status: &AgentStatus| {
        expected.iter().all(|(name, state, reason, _)| stands(name, *state, reason)(status))
    };
    let status = site.platform.status_where(DEVICE, "how all ended", as_expected).await;
    for (name, _, reason, how) in expected {
        let ended = resource(&status, name);
        assert!(ended.message.contains(how), "{}", ended.message);
        assert_eq!(ended.next_retry.is_some(), reason == "CrashLoopBackOff", "{ended:?}");
    }
    device.eventually_holds("/etc/after", "done").await;
    assert!(!device.path("/etc/never").exists());

    // Another agent lets rest what is over.
    device.kill();
    device.start();
    let again = |status: &AgentStatus| listed(status, "again").is_some_and(|again| again.restarts >= 2);
    let status = site.platform.status_where(DEVICE, "what is started again and again", again).await;
    for name in ["done", "done-too", "failed", "killed", "killed-too"] {
        assert_eq!(resource(&status, name).restarts, 0, "{name} was started again");
        assert_eq!(resource(&status, name).changes, 1);
    }
}
