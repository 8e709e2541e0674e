//! Somebody works on the device, and the agent keeps out of the way.

use std::time::Duration;

use agent_model::status::{AgentStatus, ConditionStatus, ConditionType};
use tests::{
    agent::Agent,
    document::file,
    site::{DEVICE, Site},
    snapshot::snapshot,
};

use crate::status_words::{accepted, converged_at, is};

at_each_site!(
    nothing_is_changed_during_a_pause_and_all_of_it_afterwards,
    a_pause_survives_a_restart_and_may_begin_before_the_agent,
    a_pause_with_an_end_ends_by_itself,
);

fn is_paused(status: &AgentStatus) -> bool {
    is(status, ConditionType::Paused, ConditionStatus::True, "Paused")
}

async fn converged_device(site: &Site) -> Agent {
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device
}

async fn nothing_is_changed_during_a_pause_and_all_of_it_afterwards(site: &mut Site) {
    let device = converged_device(site).await;
    let printed = device.told(&["pause"]).await;
    assert!(printed.contains("until `harmony-agent resume`"), "{printed}");
    // The command returns when nothing is changed any more, so this stays.
    device.write_by_hand("/etc/a", "by hand");
    let before = snapshot(&device.root());
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "1"), file("b", "/etc/b", "2")])).await;
    let held_back = |status: &AgentStatus| accepted(status) == Some(2) && status.summary.pending == 2;
    let status = site.platform.status_where(DEVICE, "accepted and held back", held_back).await;
    assert!(is_paused(&status));
    assert!(status.resources.iter().all(|resource| resource.reason == "Paused"), "{:?}", status.resources);
    assert_eq!(snapshot(&device.root()), before);
    assert!(device.told(&["status"]).await.contains("Paused       True"));

    assert!(device.told(&["resume"]).await.contains("resumed"));
    let status = site.platform.status_where(DEVICE, "converged", converged_at(2)).await;
    assert!(!is_paused(&status));
    assert_eq!((device.read("/etc/a"), device.read("/etc/b")), ("1".into(), "2".into()));
    assert!(device.told(&["resume"]).await.contains("no pause"));
}

async fn a_pause_survives_a_restart_and_may_begin_before_the_agent(site: &mut Site) {
    let mut device = converged_device(site).await;
    device.stop().await;
    assert!(device.told(&["pause"]).await.contains("no agent runs"));
    device.write_by_hand("/etc/a", "by hand");
    for _ in 0..2 {
        device.start();
        site.platform
            .status_where(DEVICE, "paused", |status| is_paused(status) && status.summary.pending == 1)
            .await;
        assert_eq!(device.read("/etc/a"), "by hand");
        device.kill();
    }
    device.start();
    device.told(&["resume"]).await;
    device.eventually_holds("/etc/a", "1").await;
}

async fn a_pause_with_an_end_ends_by_itself(site: &mut Site) {
    let device = converged_device(site).await;
    let printed = device.told(&["pause", "--for", "2s"]).await;
    assert!(printed.contains("held back until 20"), "{printed}");
    device.write_by_hand("/etc/a", "by hand");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(device.read("/etc/a"), "by hand");
    device.eventually_holds("/etc/a", "1").await;
    let ended = |status: &AgentStatus| !is_paused(status) && converged_at(1)(status);
    site.platform.status_where(DEVICE, "no longer paused", ended).await;
}

#[tokio::test]
async fn a_pause_of_a_folder_that_is_not_there_is_a_clear_error() {
    let device = Agent::new(DEVICE, "nats://127.0.0.1:1");
    for arguments in [&["pause"] as &[&str], &["pause", "--for", "1h"]] {
        let (code, printed) = device.command(arguments).await;
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains("is this the agent's --state-dir"), "{printed}");
    }
    let (code, printed) = device.command(&["pause", "--for", "100days"]).await;
    assert_eq!(code, Some(2), "{printed}");
}
