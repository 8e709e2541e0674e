//! From a device that has nothing to one that has converged.

use std::fs;

use serde_json::Value;
use tests::{
    document::file,
    harmonyctl::Harmonyctl,
    nats_server::Version,
    site::{Access, DEVICE, Site},
};

use super::{decider, newcomer::Newcomer};
use crate::status_words::converged_at;

async fn a_device_asks_is_approved_and_converges(version: Version) {
    let site = Site::start_on(version, Access::Operator).await;
    let newcomer = Newcomer::at(&site, DEVICE);
    let asking = newcomer.ask(&[]);
    let key = asking.key().await;

    let decider = decider(&site);
    let listed = decider.run(&["agents", "list", "-o", "json"]).await;
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let item = &listed["items"][0];
    assert_eq!((&item["agent"], &item["state"]), (&DEVICE.into(), &"Pending".into()), "{listed:#}");
    assert_eq!(item["requests"][0]["publicKey"], key, "{listed:#}");
    assert_eq!(item["requests"][0]["claims"]["address"], "127.0.0.1", "{listed:#}");
    let table = decider.run(&["agents", "list"]).await.stdout;
    assert!(table.contains(&key[..16]) && table.contains("Pending"), "{table}");

    let approved = decider.run(&["agents", "approve", DEVICE, "--key", &key]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert!(approved.stdout.contains(&key), "{approved:?}");
    let (code, printed) = asking.end().await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(newcomer.key_let_in(), key);
    assert_eq!(newcomer.claims().get("exp"), None, "user JWTs do not expire by default");

    let entry = site.platform.entry("agents", DEVICE).await.unwrap().unwrap();
    let entry: Value = serde_json::from_slice(&entry.value).unwrap();
    assert_eq!((&entry["state"], &entry["publicKey"]), (&"Approved".into(), &key.into()), "{entry}");
    assert!(entry["approvedAt"].is_string() && entry["labels"].is_object(), "{entry}");
    let table = decider.run(&["agents", "list"]).await.stdout;
    assert!(table.contains("Approved") && !table.contains("Pending"), "{table}");

    let mut device = newcomer.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    // Beside the agent that runs with them.
    let before = fs::read(newcomer.credentials()).unwrap();
    let (code, printed) = newcomer.ask_to_the_end(&[]).await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(fs::read(newcomer.credentials()).unwrap(), before);
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn on_the_pinned_server_a_device_asks_is_approved_and_converges() {
    a_device_asks_is_approved_and_converges(Version::Pinned).await;
}

#[tokio::test]
async fn on_the_oldest_server_a_device_asks_is_approved_and_converges() {
    a_device_asks_is_approved_and_converges(Version::Oldest).await;
}

#[tokio::test]
async fn an_answer_that_is_given_while_the_device_is_off_waits_for_it() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let newcomer = Newcomer::at(&site, DEVICE);
    let (code, printed) = newcomer.ask_to_the_end(&["--timeout", "3s"]).await;
    assert_eq!(code, Some(4), "{printed}");
    let key = printed.split("with the key ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    // With nothing but the operator's folder to log in with.
    let folder = site.operator().folder().path().to_str().unwrap().to_owned();
    let decider = Harmonyctl::new(site.server.url());
    let approved = decider.run(&["agents", "approve", DEVICE, "--key", &key, "--operator", &folder]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}\n{printed}");
    let (code, printed) = newcomer.ask_to_the_end(&["--timeout", "1m"]).await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(newcomer.key_let_in(), key, "it did not go on with its key");
    assert!(!printed.contains("asked; waiting"), "it asked once more: {printed}");
}

#[tokio::test]
async fn a_server_that_comes_late_is_waited_for_and_an_empty_one_is_asked_again() {
    let mut site = Site::start_on(Version::Pinned, Access::Operator).await;
    site.server.stop().await;
    let newcomer = Newcomer::at(&site, DEVICE);
    let asking = newcomer.ask(&[]);
    asking.has_printed("asking for").await;
    site.server.start_again().await;
    let key = asking.key().await;
    // All that was asked is lost.
    site.server.stop().await;
    site.server.empty_store();
    site.server.start_again().await;
    tests::platform::provision_all(&site.server).await;
    let decider = decider(&site);
    tests::eventually::eventually("it asked again and is approved", async || {
        let approved = decider.run(&["agents", "approve", DEVICE, "--key", &key]).await;
        if approved.code == Some(0) { Ok(()) } else { Err(format!("{approved:?}")) }
    })
    .await;
    let (code, printed) = asking.end().await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(newcomer.key_let_in(), key);
}

#[tokio::test]
async fn a_device_that_is_denied_ends_with_3_and_tells_why_and_may_be_approved_later() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let newcomer = Newcomer::at(&site, DEVICE);
    let asking = newcomer.ask(&[]);
    let key = asking.key().await;
    let decider = decider(&site);
    let denied = decider.run(&["agents", "deny", DEVICE, "--key", &key, "--reason", "not ours"]).await;
    assert_eq!(denied.code, Some(0), "{denied:?}");
    let (code, printed) = asking.end().await;
    assert_eq!(code, Some(3), "{printed}");
    assert!(printed.contains("denied: not ours") && printed.contains(&key), "{printed}");
    let refused = decider.run(&["agents", "approve", DEVICE, "--key", &key]).await;
    assert_eq!(refused.code, Some(1), "what was denied is not asked any more: {refused:?}");
    assert!(refused.stderr.contains("nobody asks"), "{refused:?}");

    let (code, printed) = newcomer.ask_to_the_end(&[]).await;
    assert_eq!(code, Some(3), "it is told so when it was off as well: {printed}");
    assert!(printed.contains("denied: not ours") && !newcomer.credentials().exists(), "{printed}");
    let approved = decider.run(&["agents", "approve", DEVICE, "--key", &key]).await;
    assert_eq!(approved.code, Some(0), "it did not ask once more: {approved:?}");
    let (code, printed) = newcomer.ask_to_the_end(&[]).await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(newcomer.key_let_in(), key);
}

#[tokio::test]
async fn where_credentials_cannot_be_kept_or_are_none_nobody_is_asked() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let newcomer = Newcomer::at(&site, DEVICE);
    fs::write(newcomer.credentials(), "to be filled in").unwrap();
    let (code, printed) = newcomer.ask_to_the_end(&[]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("holds no credentials") && printed.contains("remove it"), "{printed}");
    assert_eq!(fs::read_to_string(newcomer.credentials()).unwrap(), "to be filled in");
    fs::remove_file(newcomer.credentials()).unwrap();

    let newcomer = newcomer.with_credentials_in("missing/device.creds");
    let (code, printed) = newcomer.ask_to_the_end(&[]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("missing/device.creds") && !printed.contains("asking for"), "{printed}");
    let listed = decider(&site).run(&["agents", "list", "-o", "name"]).await;
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), ""), "{listed:?}");
}

#[tokio::test]
async fn a_device_that_nobody_let_in_gets_nothing_with_what_it_has() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    let bootstrap = site.operator().folder().bootstrap_credentials();
    let mut device =
        tests::agent::Agent::new(DEVICE, &site.server.url()).with("creds", bootstrap.to_str().unwrap());
    device.start();
    tests::eventually::eventually("the server has refused it its document", async || {
        let log = site.server.log();
        let read = "$JS.API.DIRECT.GET.KV_desired-state";
        if log.lines().any(|line| line.contains("Violation") && line.contains(read)) {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert!(!device.path("/etc/a").exists());
    assert!(site.platform.status(DEVICE).await.is_err(), "it could report");
}

#[tokio::test]
async fn many_are_approved_at_once_but_only_when_that_is_meant() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let newcomers = ["edge-1", "edge-2", "edge-3"].map(|id| Newcomer::at(&site, id));
    let asking = newcomers.each_ref().map(|newcomer| newcomer.ask(&[]));
    let mut words = Vec::new();
    for (newcomer, asking) in newcomers.iter().zip(&asking) {
        words.push(format!("{}={}", newcomer.id, asking.key().await));
    }
    let decider = decider(&site);
    let asked = decider.run(&["agents", "approve", "--all"]).await;
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert_eq!(asked.stdout.lines().count(), 3, "{asked:?}");
    let listed = decider.run(&["agents", "list"]).await.stdout;
    assert_eq!(listed.matches("Pending").count(), 3, "{listed}");

    let approved = decider.run(&["agents", "approve", &words[0], &format!("agent/{}", words[1])]).await;
    assert_eq!((approved.code, approved.stdout.lines().count()), (Some(0), 2), "{approved:?}");
    let digest = |shown: &str| shown.split("--yes ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let old = digest(&asked.stderr);
    let refused = decider.run(&["agents", "approve", "--all", "--yes", &old]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(5), ""), "{refused:?}");
    let asked = decider.run(&["agents", "approve", "--all"]).await;
    let new = digest(&asked.stderr);
    let approved = decider.run(&["agents", "approve", "--all", "--yes", &new]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert!(approved.stdout.contains("agent/edge-3 approved"), "{approved:?}");
    for asking in asking {
        let (code, printed) = asking.end().await;
        assert_eq!(code, Some(0), "{printed}");
    }
}
