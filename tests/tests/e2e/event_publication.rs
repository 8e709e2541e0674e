//! The platform is told what happened on a device: in order, also of what happened offline, and each once.

use std::fs;

use agent_model::status::Event;
use tests::{
    document::file,
    eventually::eventually,
    site::{DEVICE, Site},
};

use crate::status_words::{converged_at, refused};

on_each_server!(
    what_happens_offline_arrives_afterwards_in_order_and_once,
    a_refusal_is_told_once_also_over_a_restart,
);

fn types(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.event_type.as_str()).collect()
}

/// Each number is there once, and they come in their order.
fn assert_in_order(events: &[Event]) {
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq), "{events:#?}");
}

async fn what_happens_offline_arrives_afterwards_in_order_and_once(site: &mut Site) {
    let (mut device, cable) = site.device_behind_proxy().await;
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    let told = site.platform.events_where(DEVICE, "what was applied", |events| events.len() == 2).await;
    assert_eq!(types(&told), ["Accepted", "Applied"]);
    let applied = &told[1];
    assert_eq!((applied.message.as_str(), applied.generation.map(u64::from)), ("write /etc/a", Some(1)));
    assert_eq!(applied.resource.as_ref().map(|resource| resource.name.as_str()), Some("a"));

    cable.cut();
    for round in 0..2 {
        fs::remove_file(device.path("/etc/a")).unwrap();
        eventually("the repair is written down", async || {
            match device.audit().iter().filter(|record| record["effect"] == "Repaired").count() {
                repairs if repairs > round => Ok(()),
                repairs => Err(format!("{repairs} repairs")),
            }
        })
        .await;
        if round == 0 {
            // What has happened outlives the agent.
            device.kill();
            device.start();
        }
    }
    assert_eq!(site.platform.events(DEVICE).await, told, "the cable is cut");
    cable.plug();
    let told = site.platform.events_where(DEVICE, "the repairs", |events| events.len() >= 4).await;
    assert_eq!(types(&told), ["Accepted", "Applied", "Drift", "Drift"]);
    assert_in_order(&told);

    // What was told is not told again.
    device.stop().await;
    device.start();
    site.platform.put(DEVICE, &site.document(2, &[])).await;
    let told = site.platform.events_where(DEVICE, "the removal", |events| events.len() >= 6).await;
    assert_eq!(types(&told), ["Accepted", "Applied", "Drift", "Drift", "Accepted", "Removed"]);
    assert_in_order(&told);
    let numbers: Vec<_> = device.audit().iter().filter_map(|record| record["seq"].as_u64()).collect();
    assert!(told.iter().all(|event| numbers.contains(&event.seq)), "each event is a record's");
}

async fn a_refusal_is_told_once_also_over_a_restart(site: &mut Site) {
    let mut device = site.device().with("resync_interval", "1s");
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let revision = site.platform.put(DEVICE, &site.document(1, &[])).await;
    site.platform.status_where(DEVICE, "refused", refused(revision, "GenerationConflict")).await;
    device.stop().await;
    device.start();
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    let told = site
        .platform
        .events_where(DEVICE, "what came after", |events| {
            events.last().is_some_and(|event| {
                event.message == "write /etc/a" && event.generation.map(u64::from) == Some(2)
            })
        })
        .await;
    assert_eq!(types(&told), ["Accepted", "Applied", "Rejected", "Accepted", "Applied"]);
    assert_eq!(told[2].reason, "GenerationConflict");
    assert_in_order(&told);
}
