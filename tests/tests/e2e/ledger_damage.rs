//! A ledger that cannot be read is set aside, said to be, and costs the device nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent_model::status::{ConditionStatus, ConditionType};
use serde_json::Value;
use tests::{
    agent::Agent,
    document::file,
    site::{Access, DEVICE, Site},
};

use crate::status_words::{accepted, converged_at, is};

in_each_format!(a_lost_ledger_opens_no_way_back_to_an_older_document);

/// What happened to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Truncated,
    Garbage,
    NewerVersion,
    Empty,
    Missing,
}

impl Damage {
    fn do_to(self, path: &Path) {
        let bytes = fs::read(path).unwrap();
        match self {
            Self::Truncated => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            Self::Garbage => fs::write(path, [0xde, 0xad].repeat(500)).unwrap(),
            Self::Empty => fs::write(path, []).unwrap(),
            Self::NewerVersion => {
                let mut ledger: Value = serde_json::from_slice(&bytes).unwrap();
                assert!(ledger["version"].is_u64(), "the ledger has no version: {ledger}");
                ledger["version"] = 999.into();
                fs::write(path, ledger.to_string()).unwrap();
            }
            Self::Missing => fs::remove_file(path).unwrap(),
        }
    }
}

/// The ledger and its previous copy.
fn ledgers(device: &Agent) -> Vec<PathBuf> {
    let files = fs::read_dir(device.state_dir()).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("ledger");
    files.filter(named).collect()
}

/// A stopped device that converged at generation 2 with a file of its own and an original.
async fn converged_and_stopped(site: &Site) -> Agent {
    let mut device = site.device();
    device.write_by_hand("/etc/original", "factory");
    device.start();
    for generation in [1, 2] {
        let content = generation.to_string();
        let resources = [file("a", "/etc/a", &content), file("original", "/etc/original", &content)];
        site.platform.put(DEVICE, &site.document(generation, &resources)).await;
        site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
    }
    device.stop().await;
    device
}

/// What must hold however a ledger was lost: nothing is deleted, the generation does not go back,
/// and the next document is applied.
async fn goes_on(site: &Site, device: &mut Agent, damage: Damage, damaged: &[Vec<u8>]) {
    let epoch = site.platform.status(DEVICE).await.unwrap().writer.epoch;
    device.start();
    let status = site
        .platform
        .status_where(DEVICE, &format!("converged after {damage:?}"), |status| {
            // The first write of a new process repeats what the one before had said.
            let recovered = is(status, ConditionType::StateStore, ConditionStatus::False, "LedgerRecovered");
            status.writer.epoch > epoch && converged_at(2)(status) && recovered
        })
        .await;
    assert_eq!(status.highest_generation.map(u64::from), Some(2), "{damage:?}");
    assert_eq!((device.read("/etc/a"), device.read("/etc/original")), ("2".into(), "2".into()), "{damage:?}");
    let kept: Vec<Vec<u8>> = fs::read_dir(device.state_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| fs::read(path).unwrap())
        .collect();
    for bytes in damaged {
        assert!(kept.contains(bytes), "the damaged ledger was not set aside ({damage:?})");
    }

    site.platform.put(DEVICE, &site.document(3, &[file("a", "/etc/a", "3")])).await;
    site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    assert_eq!(device.read("/etc/a"), "3", "{damage:?}");
}

#[tokio::test]
async fn a_damaged_ledger_is_replaced_by_its_previous_copy() {
    for damage in [Damage::Truncated, Damage::Garbage, Damage::Empty] {
        let site = Site::start(Access::Restricted).await;
        let mut device = converged_and_stopped(&site).await;
        let ledger = device.state_dir().join("ledger.json");
        damage.do_to(&ledger);
        let damaged = [fs::read(&ledger).unwrap()];
        goes_on(&site, &mut device, damage, &damaged).await;
        // Whose the files are was not forgotten, so the original comes back.
        assert_eq!(device.read("/etc/original"), "factory", "{damage:?}");
        site.assert_nothing_was_forbidden();
    }
}

#[tokio::test]
async fn below_the_ledger_of_a_newer_agent_no_older_copy_is_used_and_nothing_is_deleted() {
    let site = Site::start(Access::Restricted).await;
    let mut device = converged_and_stopped(&site).await;
    Damage::NewerVersion.do_to(&device.state_dir().join("ledger.json"));
    let both: Vec<Vec<u8>> = ledgers(&device).iter().map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(both.len(), 2);
    goes_on(&site, &mut device, Damage::NewerVersion, &both).await;
    assert!(device.path("/etc/original").exists());
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn a_device_without_any_readable_ledger_starts_from_the_platform_and_deletes_nothing() {
    for damage in [Damage::Truncated, Damage::Garbage, Damage::NewerVersion, Damage::Empty, Damage::Missing] {
        let site = Site::start(Access::Restricted).await;
        let mut device = converged_and_stopped(&site).await;
        let found = ledgers(&device);
        assert_eq!(found.len(), 2, "a ledger and its previous copy: {found:?}");
        found.iter().for_each(|path| damage.do_to(path));
        let damaged: Vec<Vec<u8>> = found.iter().filter_map(|path| fs::read(path).ok()).collect();
        goes_on(&site, &mut device, damage, &damaged).await;
        // It cannot be known any more whose this file was.
        assert!(device.path("/etc/original").exists(), "{damage:?}");
    }
}

async fn a_lost_ledger_opens_no_way_back_to_an_older_document(site: &mut Site) {
    let mut device = converged_and_stopped(site).await;
    ledgers(&device).iter().for_each(|path| fs::remove_file(path).unwrap());
    let revision = site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "old")])).await;
    device.start();
    let status = site
        .platform
        .status_where(DEVICE, "a stale document", crate::status_words::refused(revision, "StaleGeneration"))
        .await;
    assert_eq!(status.highest_generation.map(u64::from), Some(2));
    assert!(accepted(&status).is_none_or(|generation| generation == 2));
    assert_eq!(device.read("/etc/a"), "2");
}
