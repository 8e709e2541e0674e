//! An old document has a good signature for ever.

use std::fs;

use tests::{
    document::{file, manifest},
    platform::{ACTUAL_STATE, DESIRED_STATE, HEARTBEAT, provision_all},
    signer::Signer,
    site::{Access, DEVICE, Site},
};

use crate::status_words::{accepted, converged_at, refused};

#[tokio::test]
async fn an_old_document_is_refused_after_a_restart_on_a_wiped_server_and_with_a_wiped_ledger() {
    let site = Site::start(Access::Restricted).await;
    let key = Signer::new().await;
    let mut device = site.device().with("resync_interval", "1s").trusting(&[("platform.pem", &key.pem())]);
    device.start();
    let mut sealed = Vec::new();
    for generation in [1_u64, 2, 3] {
        let document = manifest(DEVICE, generation, &[file("a", "/etc/a", &generation.to_string())]);
        sealed.push(key.seal(&document).await);
    }
    for (document, generation) in [(&sealed[0], 1), (&sealed[2], 3)] {
        site.platform.put(DEVICE, document).await;
        site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
    }
    let refuses_both = async |when: &str| {
        for old in &sealed[..2] {
            let revision = site.platform.put(DEVICE, old).await;
            let status = site.platform.status_where(DEVICE, when, refused(revision, "StaleGeneration")).await;
            assert_eq!(status.highest_generation.map(u64::from), Some(3), "{when}");
        }
    };
    refuses_both("at once").await;

    device.stop().await;
    device.start();
    refuses_both("after a restart").await;

    for bucket in [DESIRED_STATE, ACTUAL_STATE, HEARTBEAT] {
        site.platform.remove_bucket(bucket).await;
    }
    provision_all(&site.server).await;
    refuses_both("on a server without a memory").await;

    device.stop().await;
    for entry in fs::read_dir(device.state_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("ledger") {
            fs::remove_file(path).unwrap();
        }
    }
    device.start();
    refuses_both("without a ledger").await;
    assert_eq!(device.read("/etc/a"), "3");

    let last = key.seal(&manifest(DEVICE, 4, &[file("a", "/etc/a", "4")])).await;
    site.platform.put(DEVICE, &last).await;
    let status = site.platform.status_where(DEVICE, "converged at 4", converged_at(4)).await;
    assert_eq!(accepted(&status), Some(4));
}
