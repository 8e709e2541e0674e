//! A state folder that cannot be written: nothing new is accepted, and nothing is altered.

use std::{fs, io::Write as _};

use agent_model::status::{ConditionStatus, ConditionType};
use tests::{
    agent::Agent,
    document::{file, manifest},
    site::{Access, DEVICE, Site},
    snapshot::snapshot,
};

use crate::status_words::{accepted, converged_at, is};

/// Tries generation 2 on a device whose disk was made unusable by `spoil`, and again after `mend`.
async fn nothing_new_until_mended(reason: &str, spoil: impl Fn(&Agent), mend: impl Fn(&Agent)) {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device().with_small_disk("512k");
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/a", "1")])).await;
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert!(is(&before, ConditionType::StateStore, ConditionStatus::True, "Healthy"));
    let files = snapshot(&device.root());

    spoil(&device);
    let document = manifest(DEVICE, 2, &[file("a", "/etc/a", "2"), file("b", "/etc/b", "2")]);
    site.platform.put(DEVICE, &document).await;
    let status = site
        .platform
        .status_where(DEVICE, reason, |status| {
            is(status, ConditionType::StateStore, ConditionStatus::False, reason)
        })
        .await;
    assert!(is(&status, ConditionType::Accepted, ConditionStatus::Unknown, "StateStore"), "{status:#?}");
    assert_eq!(accepted(&status), Some(1));
    assert_eq!(snapshot(&device.root()), files);

    mend(&device);
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert!(is(&status, ConditionType::StateStore, ConditionStatus::True, "Healthy"), "{status:#?}");
    assert_eq!((device.read("/etc/a"), device.read("/etc/b")), ("2".into(), "2".into()));
    device.stop().await;
}

#[tokio::test]
async fn with_a_full_disk_nothing_new_is_accepted_until_there_is_room() {
    let ballast = |device: &Agent| device.state_dir().join("ballast");
    let fill = |device: &Agent| {
        let mut file = fs::File::create(ballast(device)).unwrap();
        let page = [0; 4096];
        while file.write_all(&page).is_ok() {}
    };
    nothing_new_until_mended("DiskFull", fill, |device| fs::remove_file(ballast(device)).unwrap()).await;
}

#[tokio::test]
async fn with_a_read_only_disk_nothing_new_is_accepted_until_it_can_be_written() {
    let inside = |device: &Agent| {
        let path = device.state_dir().to_string_lossy().into_owned();
        path.split_once("/root/").map(|(_, inside)| format!("/{inside}")).unwrap()
    };
    // A read-only view on top of the same folder: the disk itself cannot be made read-only while
    // the agent holds its lock file open.
    let spoil = |device: &Agent| {
        let folder = inside(device);
        device.run_inside(&format!("mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}"));
    };
    let mend = |device: &Agent| device.run_inside(&format!("umount {}", inside(device)));
    nothing_new_until_mended("ReadOnly", spoil, mend).await;
}
