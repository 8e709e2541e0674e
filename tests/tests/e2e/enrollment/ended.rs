//! Identities that end: revoked, replaced, retired; and a disk that was copied.

use std::fs;

use tests::{
    document::file,
    eventually::eventually,
    folder_copy::copy_folder,
    harmonyctl::Harmonyctl,
    nats_server::Version,
    site::{Access, DEVICE, Site},
};

use super::{decider, newcomer::Newcomer};
use crate::status_words::converged_at;

/// A device that was let in.
async fn let_in(site: &Site, decider: &Harmonyctl, id: &str) -> Newcomer {
    let newcomer = Newcomer::at(site, id);
    asks_and_gets(&newcomer, decider, "approve").await;
    newcomer
}

async fn asks_and_gets(newcomer: &Newcomer, decider: &Harmonyctl, decision: &str) {
    let asking = newcomer.ask(&[]);
    let key = asking.key().await;
    let decided = decider.run(&["agents", decision, &newcomer.id, "--key", &key]).await;
    assert_eq!(decided.code, Some(0), "{decided:?}");
    let (code, printed) = asking.end().await;
    assert_eq!(code, Some(0), "{printed}");
}

#[tokio::test]
async fn a_revoked_device_is_put_out_goes_on_enforcing_and_comes_back_with_a_new_key_only() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = decider(&site);
    let newcomer = let_in(&site, &decider, DEVICE).await;
    let old = newcomer.key_let_in();
    let mut device = newcomer.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let revoked = decider.run(&["agents", "revoke", DEVICE]).await;
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    eventually("the connected device was put out", async || {
        let log = device.log();
        if log.to_lowercase().contains("revoked") { Ok(()) } else { Err(log) }
    })
    .await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    device.write_by_hand("/etc/a", "by hand");
    device.eventually_holds("/etc/a", "1").await;
    device.stop().await;

    // With the same key there is no way back, whoever asks.
    let again = decider.run(&["agents", "revoke", DEVICE]).await;
    assert_eq!(again.code, Some(0), "revoking again is no error: {again:?}");
    let seed = fs::read_to_string(newcomer.credentials()).unwrap();
    let seed = nkeys::KeyPair::from_seed(seed.lines().find(|line| line.starts_with("SU")).unwrap()).unwrap();
    let (subject, request) = super::newcomer::request(DEVICE, DEVICE, &seed, &seed);
    site.platform.jetstream.publish(subject, request.into()).await.unwrap().await.unwrap();
    for decision in ["approve", "replace"] {
        let refused = decider.run(&["agents", decision, DEVICE, "--key", &old]).await;
        assert_eq!(refused.code, Some(1), "{decision}: {refused:?}");
        assert!(refused.stderr.contains("was revoked"), "{decision}: {refused:?}");
    }
    let denied = decider.run(&["agents", "deny", DEVICE, "--key", &old]).await;
    assert_eq!(denied.code, Some(0), "{denied:?}");

    // Nor under another id, or when the command that revoked was interrupted before it wrote the entry.
    let (subject, request) = super::newcomer::request("edge-0666", "edge-0666", &seed, &seed);
    site.platform.jetstream.publish(subject, request.into()).await.unwrap().await.unwrap();
    let refused = decider.run(&["agents", "approve", "edge-0666", "--key", &old]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains(&format!("is that of agent/{DEVICE}")), "{refused:?}");
    let entry = site.platform.entry("agents", DEVICE).await.unwrap().unwrap();
    let approved = String::from_utf8(entry.value.to_vec()).unwrap().replace("Revoked", "Approved");
    let subject = format!("$KV.agents.{DEVICE}");
    site.platform.jetstream.publish(subject, approved.into()).await.unwrap().await.unwrap();
    let (subject, request) = super::newcomer::request(DEVICE, DEVICE, &seed, &seed);
    site.platform.jetstream.publish(subject, request.into()).await.unwrap().await.unwrap();
    for decision in ["approve", "replace"] {
        let refused = decider.run(&["agents", decision, DEVICE, "--key", &old]).await;
        assert_eq!(refused.code, Some(1), "{decision}: {refused:?}");
        assert!(refused.stderr.contains("was revoked"), "{decision}: {refused:?}");
    }
    let denied = decider.run(&["agents", "revoke", DEVICE]).await;
    assert_eq!(denied.code, Some(0), "{denied:?}");

    fs::remove_file(newcomer.credentials()).unwrap();
    asks_and_gets(&newcomer, &decider, "replace").await;
    assert_ne!(newcomer.key_let_in(), old);
    device.start();
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
}

#[tokio::test]
async fn all_that_were_named_are_ended_when_nobody_reads_what_is_said_about_it() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = decider(&site);
    let ids = ["edge-0001", "edge-0002", "edge-0003"];
    let mut words = Vec::new();
    for id in ids {
        let key = nkeys::KeyPair::new_user();
        let (subject, request) = super::newcomer::request(id, id, &key, &key);
        site.platform.jetstream.publish(subject, request.into()).await.unwrap().await.unwrap();
        words.push(format!("{id}={}", key.public_key()));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for (command, words, state) in [
        ("approve", words.as_slice(), "Approved"),
        ("revoke", ids.as_slice(), "Revoked"),
        ("retire", ids.as_slice(), "Retired"),
    ] {
        let ran = decider.run_unread(&[&["agents", command], words].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for id in ids {
            let entry = site.platform.entry("agents", id).await.unwrap().unwrap();
            let entry: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
            assert_eq!(entry["state"], state, "{command} {id}");
        }
    }
}

#[tokio::test]
async fn new_hardware_gets_an_id_by_replace_only_and_the_old_one_is_put_out() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = decider(&site);
    let old = let_in(&site, &decider, DEVICE).await;
    let mut device = old.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let new = Newcomer::at(&site, DEVICE);
    let asking = new.ask(&[]);
    let key = asking.key().await;
    let listed = decider.run(&["agents", "list"]).await.stdout;
    assert!(listed.contains("THE ID HAS ANOTHER KEY"), "{listed}");
    let refused = decider.run(&["agents", "approve", DEVICE, "--key", &key]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("agents replace"), "{refused:?}");
    let all = decider.run(&["agents", "approve", "--all"]).await;
    assert_eq!((all.code, all.stdout.as_str()), (Some(1), ""), "{all:?}");

    let shown = decider.run(&["agents", "replace", DEVICE]).await;
    assert_eq!(shown.code, Some(2), "{shown:?}");
    assert!(shown.stderr.contains(&format!("agents replace {DEVICE} --key {key}")), "{shown:?}");
    let replaced = decider.run(&["agents", "replace", &format!("{DEVICE}={}", &key[..16])]).await;
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    let (code, printed) = asking.end().await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(new.key_let_in(), key);
    eventually("the old hardware was put out", async || {
        let log = device.log();
        if log.to_lowercase().contains("revoked") { Ok(()) } else { Err(log) }
    })
    .await;
    device.stop().await;
    let mut device = new.device();
    device.start();
    site.platform
        .status_where(DEVICE, "the new hardware", |status| converged_at(1)(status) && status.writer.epoch > 1)
        .await;
    device.eventually_holds("/etc/a", "1").await;
}

#[tokio::test]
async fn a_retired_device_is_put_out_and_its_id_is_given_to_nobody() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = decider(&site);
    let old = let_in(&site, &decider, DEVICE).await;
    let mut device = old.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let retired = decider.run(&["agents", "retire", DEVICE]).await;
    assert_eq!(retired.code, Some(0), "{retired:?}");
    eventually("the device was put out", async || {
        let log = device.log();
        if log.to_lowercase().contains("revoked") { Ok(()) } else { Err(log) }
    })
    .await;
    let new = Newcomer::at(&site, DEVICE);
    let asking = new.ask(&[]);
    let key = asking.key().await;
    for decision in ["approve", "replace"] {
        let refused = decider.run(&["agents", decision, DEVICE, "--key", &key]).await;
        assert_eq!(refused.code, Some(1), "{decision}: {refused:?}");
        assert!(refused.stderr.contains("retired"), "{decision}: {refused:?}");
    }
    let unknown = decider.run(&["agents", "retire", "edge-9999"]).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
}

#[tokio::test]
async fn a_copied_disk_shows_as_a_duplicate_and_is_settled_by_revoke_and_replace() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = decider(&site);
    let newcomer = let_in(&site, &decider, DEVICE).await;
    let mut device = newcomer.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device.stop().await;

    // All of it: the state, what was made, the credentials.
    let mut clone = newcomer.device();
    copy_folder(&device.state_dir(), &clone.state_dir());
    copy_folder(&device.root(), &clone.root());
    let stolen = newcomer.state_dir().join("stolen.creds");
    fs::copy(newcomer.credentials(), &stolen).unwrap();
    clone = clone.with("creds", stolen.to_str().unwrap());
    device.start();
    site.platform.status_where(DEVICE, "the restart", |status| status.writer.epoch == 2).await;
    clone.start();
    site.platform.status_where(DEVICE, "the clone", |status| status.writer.epoch == 3).await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    eventually("the device says that it is a duplicate", async || {
        let (_, printed) = device.command(&["status"]).await;
        if printed.contains("DuplicateIdentity") { Ok(()) } else { Err(printed) }
    })
    .await;

    let revoked = decider.run(&["agents", "revoke", DEVICE]).await;
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    for both in [&device, &clone] {
        eventually("both were put out", async || {
            let log = both.log();
            if log.to_lowercase().contains("revoked") { Ok(()) } else { Err(log) }
        })
        .await;
    }
    device.stop().await;
    fs::remove_file(newcomer.credentials()).unwrap();
    asks_and_gets(&newcomer, &decider, "replace").await;
    device.start();
    let document = site.document(3, &[file("a", "/etc/a", "3")]);
    site.platform.put(DEVICE, &document).await;
    let status = site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    assert!(status.writer.epoch > 3, "it is the device that reports: {:?}", status.writer);
    device.eventually_holds("/etc/a", "3").await;
    assert_eq!(clone.read("/etc/a"), "2", "the clone still learns what the device should be");
}
