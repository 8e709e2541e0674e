//! The server comes back with less than it had: with the store of an hour ago, or with none.

use std::fs;

use agent_model::status::Phase;
use tests::{
    document::{authored, file},
    eventually::eventually,
    harmonyctl::Harmonyctl,
    platform::provision_all,
    site::{DEVICE, Site},
    traffic::Traffic,
};

use crate::status_words::{accepted, converged_at, refused};

on_each_server!(
    a_server_with_the_store_of_an_hour_ago_gets_the_status_back_and_takes_nothing_back,
    a_server_with_an_empty_store_is_filled_again_once_it_has_buckets,
);

/// Applies with the platform's own tool and sees it in force.
async fn apply_gets_through(site: &Site, content: &str) {
    site.device_was_seen().await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let ran = shell.apply(&[authored(DEVICE, &[file("a", "/etc/a", content)])]).await;
    ran.assert_ended(0);
}

async fn a_server_with_the_store_of_an_hour_ago_gets_the_status_back_and_takes_nothing_back(site: &mut Site) {
    let mut device = site.device().with("resync_interval", "1h").with("heartbeat_interval", "1s");
    device.start();
    let revision = site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    site.server.stop().await;
    let an_hour_ago = site.server.back_up();
    site.server.start_again().await;
    for generation in [2, 3] {
        let document = site.document(generation, &[file("a", "/etc/a", &generation.to_string())]);
        eventually("the platform is back", async || site.platform.status(DEVICE).await).await;
        site.platform.put(DEVICE, &document).await;
        site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
    }
    let before = site.platform.status(DEVICE).await.unwrap();

    site.server.kill();
    site.server.restore(&an_hour_ago);
    site.server.start_again().await;
    fs::write(device.path("/etc/a"), "by hand").unwrap();
    let status =
        site.platform.status_where(DEVICE, "a stale document", refused(revision, "StaleGeneration")).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Converged, Some(3)));
    assert_eq!((&status.accepted, &status.applied), (&before.accepted, &before.applied));
    assert_eq!(
        (&status.writer.instance, status.writer.epoch),
        (&before.writer.instance, before.writer.epoch)
    );
    device.eventually_holds("/etc/a", "3").await;

    // The next entry has a number that this device has seen already, with another document in it.
    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    apply_gets_through(site, "4").await;
    let last = site.platform.status_where(DEVICE, "converged at 4", converged_at(4)).await;
    assert_eq!(device.read("/etc/a"), "4");
    assert_eq!(last.writer.epoch, before.writer.epoch, "nobody took over");
    traffic.assert_bounded();
}

async fn a_server_with_an_empty_store_is_filled_again_once_it_has_buckets(site: &mut Site) {
    let mut device = site.device().with("resync_interval", "1s").with("heartbeat_interval", "1s");
    device.start();
    for generation in [1, 2] {
        let document = site.document(generation, &[file("a", "/etc/a", &generation.to_string())]);
        site.platform.put(DEVICE, &document).await;
        site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
    }
    let before = site.platform.status(DEVICE).await.unwrap();

    site.server.kill();
    site.server.empty_store();
    site.server.start_again().await;
    fs::write(device.path("/etc/a"), "by hand").unwrap();
    device.eventually_holds("/etc/a", "2").await;
    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    provision_all(&site.server).await;
    let status = site.platform.status_where(DEVICE, "unassigned", |it| it.phase == Phase::Unassigned).await;
    assert_eq!((&status.accepted, &status.applied), (&before.accepted, &before.applied));
    assert_eq!(device.read("/etc/a"), "2");
    apply_gets_through(site, "3").await;
    site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    assert_eq!(device.read("/etc/a"), "3");
    traffic.assert_bounded();
}
