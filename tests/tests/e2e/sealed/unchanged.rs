//! Sealing the same again is no change, another secret is one, and drift is repaired without anybody's help.

use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};
use tests::{
    agent::Agent,
    document::process,
    site::{DEVICE, Site},
};

use super::{SECRET, environment, key_of, sealed, sealed_file, with_variable};
use crate::status_words::{converged_at, resource};

in_each_format!(
    sealing_again_rewrites_and_restarts_nothing_and_another_secret_does,
    a_sealed_file_is_repaired_without_a_server_after_a_reboot,
    a_secret_of_before_is_gone_and_a_plain_file_of_before_comes_back,
);

/// What shows that nobody touched it.
fn untouched(device: &Agent) -> (u64, i64, i64, u32) {
    let found = std::fs::metadata(device.path("/etc/app.conf")).unwrap();
    (found.ino(), found.ctime(), found.ctime_nsec(), device.process("web").pid)
}

async fn sealing_again_rewrites_and_restarts_nothing_and_another_secret_does(site: &mut Site) {
    let mut device = site.device();
    device.start();
    let to = key_of(&device).await;
    let resources = |secret: &str| -> [Value; 3] {
        let mut follower = process("follower", &["sleep", "infinity"]);
        follower["restartOn"] = json!(["conf"]);
        [
            sealed_file("conf", "/etc/app.conf", &sealed(secret, &to)),
            with_variable(process("web", &["sleep", "infinity"]), "TOKEN", &sealed(secret, &to)),
            follower,
        ]
    };
    site.platform.put(DEVICE, &site.document(1, &resources(SECRET))).await;
    let first = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let (before, follower) = (untouched(&device), device.process("follower").pid);

    site.platform.put(DEVICE, &site.document(2, &resources(SECRET))).await;
    let again = site.platform.status_where(DEVICE, "converged again", converged_at(2)).await;
    assert_eq!((untouched(&device), device.process("follower").pid), (before, follower));
    for name in ["conf", "web", "follower"] {
        let (first, again) = (resource(&first, name), resource(&again, name));
        assert_eq!(first.spec_digest, again.spec_digest, "{name}");
        assert_eq!((again.changes, again.restarts, again.drift_corrections), (1, 0, 0), "{name}");
    }

    // Nor does a new process of the agent take it for another.
    device.stop().await;
    device.start();
    site.platform.put(DEVICE, &site.document(3, &resources(SECRET))).await;
    site.platform.status_where(DEVICE, "converged after a restart", converged_at(3)).await;
    assert_eq!((untouched(&device), device.process("follower").pid), (before, follower));

    site.platform.put(DEVICE, &site.document(4, &resources("another"))).await;
    let other = site.platform.status_where(DEVICE, "another secret", converged_at(4)).await;
    assert_eq!(device.read("/etc/app.conf"), "another");
    assert!(environment(device.process("web").pid).contains("TOKEN=another\n"));
    assert_ne!(device.process("follower").pid, follower, "it restarts when the file is another");
    for name in ["conf", "web"] {
        assert_eq!(resource(&other, name).changes, 2, "{name}");
    }
}

async fn a_sealed_file_is_repaired_without_a_server_after_a_reboot(site: &mut Site) {
    let mut device = site.device();
    device.start();
    let to = key_of(&device).await;
    let conf = sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &to));
    site.platform.put(DEVICE, &site.document(1, &[conf])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    device.power_off();
    site.server.stop().await;
    // Of the same length, so that only its content tells.
    device.write_by_hand("/etc/app.conf", &"x".repeat(SECRET.len()));
    device.start();
    device.eventually_holds("/etc/app.conf", SECRET).await;
    device.write_by_hand("/etc/app.conf", "by hand");
    device.eventually_holds("/etc/app.conf", SECRET).await;

    site.server.start_again().await;
    let repaired = |status: &_| converged_at(1)(status) && resource(status, "conf").drift_corrections == 2;
    let status = site.platform.status_where(DEVICE, "both repairs", repaired).await;
    assert_eq!(resource(&status, "conf").changes, 1);
}

async fn a_secret_of_before_is_gone_and_a_plain_file_of_before_comes_back(site: &mut Site) {
    let mut device = site.device();
    std::fs::create_dir_all(device.path("/etc")).unwrap();
    device.write_by_hand("/etc/app.conf", "of before");
    device.start();
    let to = key_of(&device).await;
    for (generation, secret) in [(1, "first"), (2, SECRET)] {
        let conf = sealed_file("conf", "/etc/app.conf", &sealed(secret, &to));
        site.platform.put(DEVICE, &site.document(generation, &[conf])).await;
        site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
        assert_eq!(device.read("/etc/app.conf"), secret);
    }
    site.platform.put(DEVICE, &site.document(3, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(3)).await;
    assert_eq!(device.read("/etc/app.conf"), "of before");
}
