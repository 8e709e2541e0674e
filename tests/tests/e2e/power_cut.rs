//! The power may go at any moment: the agent is killed at every single crash point that a change
//! passes, one after the other, and started again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use agent_model::{Timestamp, status::AgentStatus};
use serde_json::Value;
use tests::{
    agent::{Agent, Bridge},
    document::{Format, file, file_after, manifest},
    nats_server::Version,
    site::{Access, Site},
    snapshot::{FileState, snapshot, temporary_files},
};

use crate::{
    crash_walk::{is_killed_on_its_way, place, walk},
    status_words::converged_at,
};

/// So many devices are at it at the same time: mostly they wait.
const AT_ONCE: usize = 4;
/// What every file holds last, before all are removed.
const OTHER: &str = "other";

/// A change, and what must hold after it.
struct Change {
    /// What is on the device from the factory.
    prepare: fn(&Agent),
    /// What is in force before, if anything.
    from: Option<Vec<Value>>,
    /// What comes.
    to: Vec<Value>,
    /// In which format it comes; all else is manifests.
    format: Format,
    /// Looks at the device afterwards.
    check: fn(&Agent),
}

/// Carries out the change with a crash after no crash point, after one, after two …, each on a device of its own,
/// until it goes through without one.
///
/// What a crash did to the device's knowledge may show only when that is used. So each device then
/// gets other content for all the same paths, and at last nothing at all: it must be as it was when
/// it left the factory.
async fn survives_every_crash(version: Version, known: u32, change: Change) {
    let site = Site::start_on(version, Access::Open).await;
    walk(&[("the change", known)], vec![(); AT_ONCE], async |(), _, passed| {
        survives(&site, &change, passed.unwrap_or_default()).await
    })
    .await;
}

async fn survives(site: &Site, change: &Change, passed: u32) -> bool {
    let id = format!("edge-{passed}");
    let mut device = Agent::new(&id, &site.server.url());
    if change.format == Format::Score {
        device = device.with_bridge(Bridge::Enabled);
    }
    (change.prepare)(&device);
    let factory = contents(&device.root());
    let mut generation = 1;
    if let Some(from) = &change.from {
        device.start();
        site.platform.put(&id, &manifest(&id, generation, from)).await;
        site.platform.status_where(&id, "converged before the change", converged_at(generation)).await;
        device.stop().await;
        generation += 1;
    }
    site.platform.put(&id, &change.format.document(&id, generation, &change.to)).await;
    device.start_to_crash_after(passed);
    let was_killed = is_killed_on_its_way(&site.platform, &mut device, converged_at(generation)).await;

    let place = place(Some(passed));
    let restart = Timestamp::now();
    device.start();
    // The one that crashed may have said that it converged, and the next one first repeats that.
    let is_its_own = |status: &AgentStatus| status.agent_info.started_at >= restart;
    site.platform
        .status_where(&id, &format!("converged {place}"), |status| {
            is_its_own(status) && converged_at(generation)(status)
        })
        .await;
    (change.check)(&device);
    let left = temporary_files(&device.root());
    assert!(left.is_empty(), "left behind {place}: {left:?}\n{}", device.log());

    let other = change.with_other_content();
    for resources in [&other[..], &[]] {
        generation += 1;
        site.platform.put(&id, &manifest(&id, generation, resources)).await;
        let what = format!("converged with {} resources {place}", resources.len());
        site.platform.status_where(&id, &what, converged_at(generation)).await;
        for resource in resources {
            assert_eq!(device.read(path_of(resource)), OTHER, "{place}\n{}", device.log());
        }
    }
    device.stop().await;
    assert_eq!(contents(&device.root()), factory, "not as it was {place}\n{}", device.log());
    let originals = fs::read_dir(device.state_dir().join("originals"));
    assert_eq!(originals.map_or(0, Iterator::count), 0, "originals that nothing needs {place}");
    let left = temporary_files(&device.state_dir());
    assert!(left.is_empty(), "left behind {place}: {left:?}\n{}", device.log());
    was_killed
}

impl Change {
    /// A document for every path of the change, before and after, with content of its own.
    fn with_other_content(&self) -> Vec<Value> {
        let all = self.from.iter().flatten().chain(&self.to);
        let paths: BTreeSet<&str> = all.map(path_of).collect();
        (1..).zip(paths).map(|(number, path)| file(&format!("other-{number}"), path, OTHER)).collect()
    }
}

fn path_of(resource: &Value) -> &str {
    resource["spec"]["path"].as_str().unwrap()
}

/// What lies there, whichever files these are and whenever they were written.
fn contents(folder: &Path) -> BTreeMap<PathBuf, FileState> {
    let anonymous = |state| FileState { inode: 0, modified: 0, ..state };
    snapshot(folder).into_iter().map(|(path, state)| (path, anonymous(state))).collect()
}

#[tokio::test]
async fn a_first_document_survives_a_power_cut_at_every_step() {
    survives_every_crash(
        Version::Pinned,
        42,
        Change {
            prepare: |device| device.write_by_hand("/etc/kept", "factory"),
            from: None,
            to: vec![file("new", "/opt/deep/new", "ours"), file_after("kept", &["new"], "/etc/kept", "ours")],
            format: Format::AgentManifest,
            check: |device| {
                assert_eq!(
                    (device.read("/opt/deep/new"), device.read("/etc/kept")),
                    ("ours".into(), "ours".into())
                );
            },
        },
    )
    .await;
}

#[tokio::test]
async fn an_update_survives_a_power_cut_at_every_step() {
    an_update_survives_on(Version::Pinned).await;
}

#[tokio::test]
async fn an_update_survives_a_power_cut_at_every_step_on_the_oldest_server_too() {
    an_update_survives_on(Version::Oldest).await;
}

async fn an_update_survives_on(version: Version) {
    survives_every_crash(
        version,
        42,
        Change {
            prepare: |device| device.write_by_hand("/etc/kept", "factory"),
            from: Some(vec![
                file("a", "/etc/a", "1"),
                file("b", "/etc/b", "1"),
                file("kept", "/etc/kept", "1"),
            ]),
            to: vec![file("a", "/etc/a", "2"), file("c", "/etc/c", "2"), file("kept", "/etc/kept", "2")],
            format: Format::AgentManifest,
            check: |device| {
                let read = ["/etc/a", "/etc/c", "/etc/kept"].map(|path| device.read(path));
                assert_eq!(read, ["2", "2", "2"].map(str::to_owned));
                assert!(!device.path("/etc/b").exists());
            },
        },
    )
    .await;
}

#[tokio::test]
async fn a_change_that_comes_as_scores_survives_a_power_cut_at_every_step() {
    survives_every_crash(
        Version::Pinned,
        34,
        Change {
            prepare: |device| device.write_by_hand("/etc/kept", "factory"),
            from: Some(vec![
                file("a", "/etc/a", "1"),
                file("b", "/etc/b", "1"),
                file("kept", "/etc/kept", "1"),
            ]),
            to: vec![
                file("a", "/etc/a", "1"),
                file_after("c", &["kept"], "/etc/c", "2"),
                file("kept", "/etc/kept", "2"),
            ],
            format: Format::Score,
            check: |device| {
                let read = ["/etc/a", "/etc/c", "/etc/kept"].map(|path| device.read(path));
                assert_eq!(read, ["1", "2", "2"].map(str::to_owned));
                assert!(!device.path("/etc/b").exists());
            },
        },
    )
    .await;
}

#[tokio::test]
async fn originals_come_back_whole_after_a_power_cut_at_every_step() {
    survives_every_crash(
        Version::Pinned,
        37,
        Change {
            prepare: |device| {
                device.write_by_hand("/etc/kept", "factory");
                device.write_by_hand("/etc/linked", "factory");
                std::os::unix::fs::symlink("linked", device.path("/etc/link")).unwrap();
            },
            from: Some(vec![
                file("kept", "/etc/kept", "ours"),
                file_after("link", &["kept"], "/etc/link", "ours"),
                file("new", "/opt/deep/new", "ours"),
            ]),
            to: Vec::new(),
            format: Format::AgentManifest,
            check: |device| {
                assert_eq!(
                    (device.read("/etc/kept"), device.read("/etc/linked")),
                    ("factory".into(), "factory".into())
                );
                let link = fs::read_link(device.path("/etc/link")).unwrap();
                assert_eq!(link, Path::new("linked"));
                assert!(!device.path("/opt").exists());
            },
        },
    )
    .await;
}
