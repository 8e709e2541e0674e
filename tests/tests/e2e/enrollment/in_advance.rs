//! Approval in advance, by serial number.

use std::fs;

use nkeys::KeyPair;
use tempfile::TempDir;
use tests::{
    eventually::eventually,
    nats_server::Version,
    site::{Access, DEVICE, Site},
};

use super::{decider, newcomer::request};

/// How an id stands in the registry.
async fn state(site: &Site, id: &str) -> Option<String> {
    let entry = site.platform.entry("agents", id).await.unwrap()?;
    let entry: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
    Some(entry["state"].as_str().unwrap().to_owned())
}

async fn asks(site: &Site, id: &str) -> String {
    let key = KeyPair::new_user();
    let (subject, message) = request(id, id, &key, &key);
    site.platform.jetstream.publish(subject, message.into()).await.unwrap().await.unwrap();
    key.public_key()
}

#[tokio::test]
async fn what_comes_with_an_expected_serial_number_is_approved_by_the_run_that_watches() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let folder = TempDir::with_prefix("harmony-serials-").unwrap();
    let file = folder.path().join("serials.txt");
    let file = file.to_str().unwrap();
    let decider = decider(&site);

    // Every request that is made by hand claims SN-1.
    fs::write(file, "SN-2\n").unwrap();
    let key = asks(&site, DEVICE).await;
    let none = decider.run(&["agents", "approve", "--from", file]).await;
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""), "{none:?}");
    fs::write(file, "SN-1 edge-0002\n").unwrap();
    let other_id = decider.run(&["agents", "approve", "--from", file]).await;
    assert_eq!((other_id.code, other_id.stdout.as_str()), (Some(0), ""), "{other_id:?}");
    assert_eq!(state(&site, DEVICE).await, None);
    fs::write(file, "# ours\nSN-1\n").unwrap();
    let approved = decider.run(&["agents", "approve", "--from", file]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert!(approved.stdout.contains(&key), "{approved:?}");
    assert_eq!(state(&site, DEVICE).await.as_deref(), Some("Approved"));

    // Another one with a serial number that a device has.
    let key = asks(&site, "edge-0002").await;
    let left = decider.run(&["agents", "approve", "--from", file]).await;
    assert_eq!((left.code, left.stdout.as_str()), (Some(1), ""), "{left:?}");
    assert!(left.stderr.contains("has the serial number SN-1"), "{left:?}");
    let denied = decider.run(&["agents", "deny", "edge-0002", "--key", &key]).await;
    assert_eq!(denied.code, Some(0), "{denied:?}");
}

#[tokio::test]
async fn nothing_is_approved_before_somebody_runs_it_and_two_claims_of_a_serial_number_are_left() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let folder = TempDir::with_prefix("harmony-serials-").unwrap();
    let file = folder.path().join("serials.txt");
    fs::write(&file, "SN-1\n").unwrap();
    let file = file.to_str().unwrap();
    let decider = decider(&site);
    let watching = decider.start(&["agents", "approve", "--from", file, "--watch"]);
    let key = asks(&site, DEVICE).await;
    eventually("it is approved by the run that watches", async || {
        let printed = watching.stdout();
        if printed.contains(&key) { Ok(()) } else { Err(printed) }
    })
    .await;
    watching.interrupt().await;

    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = super::decider(&site);
    // One key under two ids.
    let again = KeyPair::new_user();
    for id in ["edge-0003", "edge-0004"] {
        let (subject, message) = request(id, id, &again, &again);
        site.platform.jetstream.publish(subject, message.into()).await.unwrap().await.unwrap();
    }
    let left = decider.run(&["agents", "approve", "--from", file]).await;
    assert_eq!((left.code, left.stdout.as_str()), (Some(1), ""), "{left:?}");
    for id in ["edge-0003", "edge-0004"] {
        assert_eq!(state(&site, id).await, None);
        assert_eq!(decider.run(&["agents", "deny", id, "--key", &again.public_key()]).await.code, Some(0));
    }

    asks(&site, "edge-0001").await;
    asks(&site, "edge-0002").await;
    let left = decider.run(&["agents", "approve", "--from", file]).await;
    assert_eq!((left.code, left.stdout.as_str()), (Some(1), ""), "{left:?}");
    assert!(left.stderr.contains("another key claims the serial number SN-1"), "{left:?}");
}
