//! A hint wakes the device, and is never believed.

use std::time::Instant;

use async_nats::HeaderMap;
use futures_util::{FutureExt as _, StreamExt as _};
use tests::{
    document::file,
    eventually::eventually,
    platform::{ACTUAL_STATE, DESIRED_STATE, Platform},
    site::{DEVICE, Site},
    traffic::Traffic,
};

use crate::status_words::converged_at;

at_each_site!(
    a_lost_hint_is_caught_by_the_next_resync,
    a_forged_hint_changes_nothing,
    a_flood_of_hints_costs_the_server_a_bounded_number_of_reads,
);

on_the_oldest_server_too!(
    a_lost_hint_is_caught_by_the_next_resync,
    a_forged_hint_changes_nothing,
    a_flood_of_hints_costs_the_server_a_bounded_number_of_reads,
);

/// Publishes a hint that names that revision.
pub(crate) async fn forge_hint(platform: &Platform, revision: u64) {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Stream", format!("KV_{DESIRED_STATE}"));
    headers.insert("Nats-Subject", format!("$KV.{DESIRED_STATE}.{DEVICE}"));
    headers.insert("Nats-Sequence", revision.to_string());
    let subject = format!("{DESIRED_STATE}.{DEVICE}");
    platform.client.publish_with_headers(subject, headers, "".into()).await.unwrap();
}

async fn a_lost_hint_is_caught_by_the_next_resync(site: &mut Site) {
    let mut device = site.device().with("resync_interval", "1s");
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    site.platform.stop_hints().await;
    let mut hints = site.platform.client.subscribe(format!("{DESIRED_STATE}.{DEVICE}")).await.unwrap();
    site.platform.client.flush().await.unwrap();
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert!(hints.next().now_or_never().is_none(), "there was a hint after all");
    assert_eq!(device.read("/etc/a"), "2");
}

async fn a_forged_hint_changes_nothing(site: &mut Site) {
    let mut device = site.device().with("resync_interval", "1h");
    device.start();
    let document = site.document(1, &[file("a", "/etc/a", "1")]);
    let revision = site.platform.put(DEVICE, &document).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let before = site.platform.entry(ACTUAL_STATE, DEVICE).await.unwrap().unwrap();

    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    for revision in [revision + 1_000_000, revision, 0] {
        forge_hint(&site.platform, revision).await;
    }
    let hint = format!("{DESIRED_STATE}.{DEVICE}");
    // A whole document in the hint is no document.
    let forged = site.document(9, &[file("a", "/etc/a", "forged")]).to_string();
    site.platform.client.publish(hint.clone(), forged.into()).await.unwrap();
    site.platform.client.publish(hint, "no headers".into()).await.unwrap();
    eventually("the hint woke the device", async || match traffic.counts().reads {
        0 => Err("no read was seen".to_owned()),
        _ => Ok(()),
    })
    .await;

    // What the device does next shows that it is past the hints.
    site.platform.put(DEVICE, &site.document(2, &[file("b", "/etc/b", "2")])).await;
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(status.highest_generation.map(u64::from), Some(2));
    assert!(!device.path("/etc/a").exists());
    assert_eq!(device.read("/etc/b"), "2");
    let after = site.platform.entry(ACTUAL_STATE, DEVICE).await.unwrap().unwrap();
    assert!(after.revision > before.revision);
}

async fn a_flood_of_hints_costs_the_server_a_bounded_number_of_reads(site: &mut Site) {
    const HINTS: u64 = 10_000;
    /// What the wire contract's transport allows a device, a second and at once.
    const READS_A_SECOND: u64 = 10;
    let mut device = site.device().with("resync_interval", "1h");
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    let start = Instant::now();
    for revision in 0..HINTS {
        forge_hint(&site.platform, 1_000_000 + revision).await;
    }
    site.platform.client.flush().await.unwrap();
    // The flood must not keep the device from its document, either.
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    site.platform.client.flush().await.unwrap();
    let reads = traffic.counts().reads;
    let allowed = READS_A_SECOND * (start.elapsed().as_secs() + 2);
    assert!(reads >= 1, "no read was seen");
    assert!(reads <= allowed, "{reads} reads for {HINTS} hints, {allowed} allowed");
}
