//! The platform lost its store: devices go on, and fill it again.

use std::fs;

use agent_model::status::{AgentStatus, Phase};
use tests::{
    agent::Agent,
    document::{authored, file},
    eventually::eventually,
    harmonyctl::Harmonyctl,
    platform::{ACTUAL_STATE, DESIRED_STATE, HEARTBEAT, provision_all},
    site::{Access, DEVICE, Site},
};

use crate::status_words::{accepted, converged_at, refused};

in_each_format!(empty_buckets_are_filled_with_status_and_the_device_enforces_on);

/// A device that converged at generation 3, and then lost both buckets.
async fn after_the_loss(site: &Site) -> (Agent, AgentStatus) {
    let mut device = site.device().with("resync_interval", "1s").with("heartbeat_interval", "1s");
    device.start();
    for generation in 1..=3 {
        let document = site.document(generation, &[file("a", "/etc/a", &generation.to_string())]);
        site.platform.put(DEVICE, &document).await;
        site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
    }
    let before = site.platform.status(DEVICE).await.unwrap();
    for bucket in [DESIRED_STATE, ACTUAL_STATE, HEARTBEAT] {
        site.platform.remove_bucket(bucket).await;
    }
    // With no bucket there is no answer, which says nothing about what is wanted.
    fs::write(device.path("/etc/a"), "by hand").unwrap();
    device.eventually_holds("/etc/a", "3").await;
    (device, before)
}

async fn empty_buckets_are_filled_with_status_and_the_device_enforces_on(site: &mut Site) {
    let (mut device, before) = after_the_loss(site).await;
    provision_all(&site.server).await;
    let status = site.platform.status_where(DEVICE, "unassigned", |it| it.phase == Phase::Unassigned).await;
    assert_eq!((&status.accepted, &status.applied), (&before.accepted, &before.applied));
    assert_eq!(status.highest_generation, before.highest_generation);
    assert_eq!(status.writer.instance, before.writer.instance);
    fs::write(device.path("/etc/a"), "by hand").unwrap();
    device.eventually_holds("/etc/a", "3").await;

    site.platform.put(DEVICE, &site.document(4, &[file("a", "/etc/a", "4")])).await;
    site.platform.status_where(DEVICE, "converged at 4", converged_at(4)).await;
    assert_eq!(device.read("/etc/a"), "4");
    assert!(device.is_running());
}

#[tokio::test]
async fn an_older_document_from_a_backup_is_refused_until_a_newer_one_comes() {
    let site = Site::start(Access::Restricted).await;
    let (device, before) = after_the_loss(&site).await;
    provision_all(&site.server).await;
    let document = site.document(2, &[file("a", "/etc/a", "2")]);
    let revision = site.platform.put(DEVICE, &document).await;
    let status =
        site.platform.status_where(DEVICE, "a stale document", refused(revision, "StaleGeneration")).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Converged, Some(3)));
    assert_eq!(status.applied, before.applied);
    assert_eq!(device.read("/etc/a"), "3");

    site.platform.put(DEVICE, &site.document(4, &[file("a", "/etc/a", "4")])).await;
    site.platform.status_where(DEVICE, "converged at 4", converged_at(4)).await;
    assert_eq!(device.read("/etc/a"), "4");
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn a_status_bucket_that_is_lost_alone_is_filled_again_by_the_next_resync() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device().with("resync_interval", "1s");
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    site.platform.remove_bucket(ACTUAL_STATE).await;
    provision_all(&site.server).await;
    let status = eventually("the status is back", async || site.platform.status(DEVICE).await).await;
    assert_eq!((&status.accepted, &status.applied), (&before.accepted, &before.applied));
    assert_eq!(status.phase, Phase::Converged);
}

#[tokio::test]
async fn a_device_that_started_on_an_empty_store_goes_on_reporting_when_a_backup_is_restored() {
    let mut site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    // The backup tells of a later epoch than the first that an empty store leads to.
    device.stop().await;
    device.start();
    let claimed = |epoch| move |status: &AgentStatus| status.writer.epoch >= epoch;
    site.platform.status_where(DEVICE, "a second writer", claimed(2)).await;
    device.stop().await;
    site.server.stop().await;
    let backup = site.server.back_up();
    site.server.empty_store();
    site.server.start_again().await;
    provision_all(&site.server).await;
    device.start();
    site.platform.status_where(DEVICE, "unassigned", |it| it.phase == Phase::Unassigned).await;

    site.server.stop().await;
    site.server.restore(&backup);
    site.server.start_again().await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    site.assert_nothing_was_forbidden();
}

/// Applies with the platform's own tool a document that knows of no generation, and sees it in force.
async fn apply_gets_through(site: &Site, device: &Agent, told: &[&str]) {
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let ran = shell.apply(&[authored(DEVICE, &[file("a", "/etc/a", "newest")])]).await;
    ran.assert_ended(0);
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), told, "{ran:#?}");
    assert!(converged_at(4)(&site.platform.status(DEVICE).await.unwrap()));
    assert_eq!(device.read("/etc/a"), "newest");
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn harmonyctl_counts_on_from_what_the_device_accepted_when_the_buckets_are_empty() {
    let site = Site::start(Access::Restricted).await;
    let (device, _) = after_the_loss(&site).await;
    provision_all(&site.server).await;
    site.platform.status_where(DEVICE, "unassigned", |it| it.phase == Phase::Unassigned).await;
    site.device_was_seen().await;
    let told = ["agent/edge-0001 created (generation 4)", "agent/edge-0001 converged (generation 4)"];
    apply_gets_through(&site, &device, &told).await;
}

#[tokio::test]
async fn harmonyctl_counts_on_from_what_the_device_accepted_when_a_backup_holds_an_older_document() {
    let site = Site::start(Access::Restricted).await;
    let (device, _) = after_the_loss(&site).await;
    provision_all(&site.server).await;
    let revision = site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    site.platform.status_where(DEVICE, "a stale document", refused(revision, "StaleGeneration")).await;
    site.device_was_seen().await;
    let told = ["agent/edge-0001 configured (generation 4)", "agent/edge-0001 converged (generation 4)"];
    apply_gets_through(&site, &device, &told).await;
}

#[tokio::test]
async fn harmonyctl_writes_again_when_a_device_whose_status_was_lost_says_that_it_has_seen_newer_ones() {
    let site = Site::start(Access::Restricted).await;
    let (device, cable) = site.device_behind_proxy().await;
    let mut device = device.with("resync_interval", "1s");
    device.start();
    site.platform.put(DEVICE, &site.document(3, &[file("a", "/etc/a", "3")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(3)).await;
    // A sign of life may come after the status.
    site.device_was_seen().await;
    let heartbeat = site.platform.entry(HEARTBEAT, DEVICE).await.unwrap().unwrap();
    cable.cut();
    for bucket in [DESIRED_STATE, ACTUAL_STATE, HEARTBEAT] {
        site.platform.remove_bucket(bucket).await;
    }
    provision_all(&site.server).await;
    // The device counts as online, and yet nothing is known of what it accepted.
    let subject = format!("$KV.{HEARTBEAT}.{DEVICE}");
    site.platform.jetstream.publish(subject, heartbeat.value.into()).await.unwrap().await.unwrap();

    let plugged = async {
        eventually("the first try is written", async || {
            site.platform.entry(DESIRED_STATE, DEVICE).await?.ok_or("not yet".to_owned())
        })
        .await;
        cable.plug();
    };
    let told = [
        "agent/edge-0001 created (generation 1)",
        "agent/edge-0001 configured (generation 4, because the device has seen newer ones)",
        "agent/edge-0001 converged (generation 4)",
    ];
    tokio::join!(apply_gets_through(&site, &device, &told), plugged);
}
