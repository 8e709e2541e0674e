//! The keys that a device trusts, and their change.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
};

use tests::{
    agent::Agent,
    document::{file, manifest},
    signer::Signer,
    site::{Access, DEVICE, Site},
};

use super::until;
use crate::status_words::{converged_at, refused};

#[tokio::test]
async fn a_key_that_is_trusted_no_more_stops_no_device_from_booting_offline_into_what_it_had_accepted() {
    let mut site = Site::start(Access::Restricted).await;
    let [old, new] = [Signer::new().await, Signer::new().await];
    let mut device = site.device().trusting(&[("2025.pem", &old.pem())]);
    let page =
        |generation: u64| manifest(DEVICE, generation, &[file("a", "/etc/a", &generation.to_string())]);
    device.start();
    site.platform.put(DEVICE, &old.seal(&page(1)).await).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    device.stop().await;
    site.server.stop().await;
    device.trust(&[("2025.pem", &until(&old, "2026-01-01T00:00:00Z")), ("2026.pem", &new.pem())]);
    fs::remove_file(device.path("/etc/a")).unwrap();
    device.start();
    device.eventually_holds("/etc/a", "1").await;

    site.server.start_again().await;
    let revision = site.platform.put(DEVICE, &old.seal(&page(2)).await).await;
    let status = site.platform.status_where(DEVICE, "refused", refused(revision, "UntrustedSignature")).await;
    let message = &status.conditions[0].message;
    assert!(message.contains("trusted until 2026-01-01T00:00:00Z"), "{message}");
    site.platform.put(DEVICE, &new.seal(&page(2)).await).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;

    device.stop().await;
    device.trust(&[("2026.pem", &new.pem())]);
    device.start();
    let revision = site.platform.put(DEVICE, &old.seal(&page(3)).await).await;
    let status = site.platform.status_where(DEVICE, "refused", refused(revision, "UntrustedSignature")).await;
    let message = &status.conditions[0].message;
    assert!(message.contains(old.key_id()) && message.contains(new.key_id()), "{message}");
}

#[tokio::test]
async fn signing_the_same_document_with_another_key_changes_nothing_on_the_device() {
    let site = Site::start(Access::Restricted).await;
    let [old, new] = [Signer::new().await, Signer::new().await];
    let mut device = site.device().trusting(&[("a.pem", &old.pem()), ("b.pem", &new.pem())]);
    device.start();
    let document = manifest(DEVICE, 1, &[file("a", "/etc/a", "1")]);
    site.platform.put(DEVICE, &old.seal(&document).await).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let revision = site.platform.put(DEVICE, &new.seal(&document).await).await;
    let status = site
        .platform
        .status_where(DEVICE, "seen", |status| {
            converged_at(1)(status) && status.desired.as_ref().is_some_and(|it| it.revision == revision)
        })
        .await;
    assert_eq!(status.resources[0].changes, 1);
    let accepted = device.audit().iter().filter(|line| line["outcome"] == "Accepted").count();
    assert_eq!(accepted, 1);
}

#[tokio::test]
async fn a_trust_folder_that_is_not_right_keeps_the_agent_from_starting_and_says_why() {
    let key = Signer::new().await;
    let private = fs::read_to_string(key.private_key()).unwrap();
    let started = async |device: &Agent| {
        let (code, printed) = device.check().await;
        assert_eq!(code, Some(2), "{printed}");
        printed
    };
    let device = |name: &str, text: &str| Agent::new(DEVICE, "nats://127.0.0.1:1").trusting(&[(name, text)]);
    for (name, text, words) in [
        ("a.txt", key.pem(), "holds 0 files *.pem"),
        ("a.pem", "nonsense".to_owned(), "a.pem: it holds no PEM text"),
        ("a.pem", private, "a.pem: it holds a private key"),
        ("a.pem", format!("Not-after: 2027-01-01T00:00:00Z\n{}", key.pem()), "neither a # comment nor"),
        (
            "a.pem",
            "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n".to_owned(),
            "no ed25519 public key",
        ),
    ] {
        let printed = started(&device(name, &text)).await;
        assert!(printed.contains(words), "{text:.40}: {printed}");
    }

    let twice = device("a.pem", &key.pem());
    fs::write(twice.trust_folder().join("b.pem"), until(&key, "2027-01-01T00:00:00Z")).unwrap();
    let printed = started(&twice).await;
    assert!(printed.contains("b.pem and ") && printed.contains("a.pem hold the same key"), "{printed}");

    let others = device("a.pem", &key.pem());
    let file = others.trust_folder().join("a.pem");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let printed = started(&others).await;
    assert!(
        printed.contains("a.pem") && printed.contains("mode 0666") && printed.contains("chmod go-w"),
        "{printed}"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(others.trust_folder(), fs::Permissions::from_mode(0o777)).unwrap();
    let printed = started(&others).await;
    assert!(printed.contains("mode 0777"), "{printed}");
    fs::set_permissions(others.trust_folder(), fs::Permissions::from_mode(0o755)).unwrap();
    chown(&file, Some(65534), None).unwrap();
    let printed = started(&others).await;
    assert!(printed.contains("belongs to user 65534") && printed.contains("chown root"), "{printed}");
    fs::remove_file(&file).unwrap();
    symlink("/does/not/exist", &file).unwrap();
    let printed = started(&others).await;
    assert!(printed.contains("/does/not/exist") || printed.contains("a.pem"), "{printed}");
}

#[tokio::test]
async fn the_check_names_the_keys_and_those_that_are_over() {
    let site = Site::start(Access::Restricted).await;
    let [old, new] = [Signer::new().await, Signer::new().await];
    let device =
        site.device().trusting(&[("a.pem", &until(&old, "2026-01-01T00:00:00Z")), ("b.pem", &new.pem())]);
    let (code, printed) = device.check().await;
    assert_eq!(code, Some(0), "{printed}");
    let line = printed.lines().find(|line| line.contains("trust")).expect("there is a line");
    assert!(line.starts_with("ok ") && line.contains(new.key_id()), "{line}");
    assert!(line.contains(&format!("no longer {}", old.key_id())), "{line}");
}
