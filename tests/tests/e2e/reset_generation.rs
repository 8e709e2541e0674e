//! A platform that counts from the beginning again.

use tests::{
    document::{file, manifest},
    site::{Access, DEVICE, Site},
};

use crate::status_words::{converged_at, refused};

#[tokio::test]
async fn after_a_reset_a_lower_generation_is_accepted_and_before_it_is_not() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 7, &[file("a", "/etc/a", "7")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(7)).await;
    let revision = site.platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "refused", refused(revision, "StaleGeneration")).await;

    let (code, printed) = device.command(&["reset-generation"]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("in use by another agent"), "{printed}");

    device.stop().await;
    let (code, printed) = device.command(&["reset-generation"]).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("generation 7"), "{printed}");
    assert_eq!(device.read("/etc/a"), "7", "what is in force stays in force");
    device.start();
    let status = site.platform.status_where(DEVICE, "converged at 1", converged_at(1)).await;
    assert_eq!(status.highest_generation.map(|generation| generation.get()), Some(1));
    assert_eq!(device.read("/etc/a"), "1");

    device.stop().await;
    let (code, printed) = device.command(&["reset-generation"]).await;
    assert_eq!(code, Some(0), "{printed}");
}

#[tokio::test]
async fn a_folder_without_a_ledger_has_no_generation_to_forget() {
    let site = Site::start(Access::Open).await;
    let device = site.device();
    let (code, printed) = device.command(&["reset-generation"]).await;
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("there is no state folder"), "{printed}");
    assert!(!device.state_dir().exists(), "it was made");
}
