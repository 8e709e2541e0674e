//! The key that a device makes for itself: once, durably, whenever the power goes.

use std::{fs, os::unix::fs::PermissionsExt as _};

use agent_model::{Timestamp, status::AgentStatus};
use tests::{
    agent::Agent,
    document::{file, manifest},
    site::{Access, DEVICE, Site},
};

use super::{SECRET, key_of, sealed, sealed_file};
use crate::{crash_walk::is_killed_on_its_way, status_words::converged_at};

/// More crash points than a first start passes until it has its key, and fewer than until its document is applied.
const FIRST_POINTS: u32 = 8;

#[tokio::test]
async fn a_power_cut_at_any_point_of_the_first_start_leaves_one_key_that_stays() {
    let site = Site::start(Access::Open).await;
    let (mut before_the_key, mut after_it) = (0, 0);
    for passed in 0..FIRST_POINTS {
        let id = format!("edge-{passed}");
        let mut device = Agent::new(&id, &site.server.url());
        site.platform.put(&id, &manifest(&id, 1, &[file("a", "/etc/a", "1")])).await;
        let kept = device.state_dir().join("sealing.nk");
        device.start_to_crash_after(passed);
        let was_killed = is_killed_on_its_way(&site.platform, &mut device, converged_at(1)).await;
        assert!(was_killed, "it has fewer than {FIRST_POINTS} crash points: is this build armed?");
        let first = fs::read(&kept).ok();
        *if first.is_some() { &mut after_it } else { &mut before_the_key } += 1;

        let begun = Timestamp::now();
        device.start();
        let is_its_own =
            |status: &AgentStatus| status.agent_info.started_at >= begun && converged_at(1)(status);
        let status = site.platform.status_where(&id, "converged after the crash", is_its_own).await;
        let text = fs::read(&kept).unwrap();
        assert!(first.is_none_or(|first| first == text), "another key after a crash past {passed} points");
        assert_eq!(status.agent_info.sealing_key, Some(key_of(&device).await));
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(!kept.with_extension("tmp").exists(), "left over past {passed} points");
        device.stop().await;
    }
    assert!(before_the_key > 0 && after_it > 0, "{before_the_key} before there was a key, {after_it} after");
}

#[tokio::test]
async fn a_key_that_is_kept_and_put_back_opens_what_was_sealed_to_it_on_new_hardware() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let to = key_of(&device).await;
    device.stop().await;
    let kept = fs::read(device.state_dir().join("sealing.nk")).unwrap();

    let mut replacement: Agent = site.device();
    fs::create_dir_all(replacement.state_dir()).unwrap();
    fs::write(replacement.state_dir().join("sealing.nk"), kept).unwrap();
    replacement.start();
    assert_eq!(key_of(&replacement).await, to);
    let conf = sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &to));
    site.platform.put(DEVICE, &site.document(1, &[conf])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(replacement.read("/etc/app.conf"), SECRET);
}
