//! With no server in reach the device goes on, and nothing that was written meanwhile is lost.

use std::fs;

use agent_model::status::{ConditionStatus, ConditionType};
use tests::{
    document::file,
    eventually::eventually,
    platform::DESIRED_STATE,
    site::{DEVICE, Site},
    traffic::Traffic,
};

use crate::status_words::{accepted, converged_at, is, resource};

at_each_site!(
    a_device_that_boots_with_no_server_enforces_what_it_accepted,
    a_document_written_while_the_device_was_cut_off_is_applied,
    a_silent_network_keeps_nothing_from_being_repaired_and_loses_no_document,
);

on_the_oldest_server_too!(
    a_device_that_boots_with_no_server_enforces_what_it_accepted,
    a_document_written_while_the_device_was_cut_off_is_applied,
    a_silent_network_keeps_nothing_from_being_repaired_and_loses_no_document,
);

async fn a_device_that_boots_with_no_server_enforces_what_it_accepted(site: &mut Site) {
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "ours")])).await;
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    device.kill();
    site.server.stop().await;
    fs::remove_file(device.path("/etc/a")).unwrap();
    device.start();
    device.eventually_holds("/etc/a", "ours").await;
    assert!(device.is_running());

    site.server.start_again().await;
    let status = site
        .platform
        .status_where(DEVICE, "what the new process did", |status| {
            // The first write of a new process repeats what the one before had said.
            let is_new = status.writer.epoch == before.writer.epoch + 1;
            is_new && converged_at(1)(status) && resource(status, "a").drift_corrections == 1
        })
        .await;
    assert_ne!(status.writer.instance, before.writer.instance);
    assert_eq!(status.accepted, before.accepted, "a restart accepts nothing anew");
    assert_eq!(status.applied, before.applied, "a restart applies nothing anew");
    assert_eq!(resource(&status, "a").changes, 1, "a repair is no change");
}

async fn a_document_written_while_the_device_was_cut_off_is_applied(site: &mut Site) {
    let (mut device, cable) = site.device_behind_proxy().await;
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    cable.cut();
    site.server.kill();
    site.server.start_again().await;
    eventually("the platform is back", async || site.platform.entry(DESIRED_STATE, DEVICE).await).await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    let status = site.platform.status(DEVICE).await.unwrap();
    assert_eq!((accepted(&status), device.read("/etc/a")), (Some(1), "1".to_owned()), "the cable is cut");

    cable.plug();
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(device.read("/etc/a"), "2");
}

async fn a_silent_network_keeps_nothing_from_being_repaired_and_loses_no_document(site: &mut Site) {
    let (device, cable) = site.device_behind_proxy().await;
    let mut device = device.with("log_level", "debug");
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    cable.black_hole();
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    fs::write(device.path("/etc/a"), "by hand").unwrap();
    device.eventually_holds("/etc/a", "1").await;
    // It tells of the repair, and waits in vain for an answer.
    device.eventually_logs("the status is not written yet").await;
    assert_eq!((traffic.counts().reads, device.read("/etc/a")), (0, "1".to_owned()), "something was heard");
    cable.plug();
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert!(is(&status, ConditionType::Accepted, ConditionStatus::True, "Accepted"));
    assert_eq!(device.read("/etc/a"), "2");
}
