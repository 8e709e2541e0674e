//! The power may go at any moment: the agent is killed at every single crash point that a change
//! passes, one after the other, and started again.

use std::fs;

use serde_json::Value;
use tests::{
    agent::{Agent, crashed},
    document::{file, file_after, manifest},
    eventually::eventually,
    platform::Platform,
    site::{Access, Site},
    snapshot::temporary_files,
};

use crate::status_words::converged_at;

/// More crash points than any change passes: beyond it, something repeats without an end.
const TOO_MANY: u32 = 500;

/// A change, and what must hold after it.
struct Change {
    /// What is on the device from the factory.
    prepare: fn(&Agent),
    /// What is in force before, if anything.
    from: Option<Vec<Value>>,
    /// What comes.
    to: Vec<Value>,
    /// Looks at the device afterwards.
    check: fn(&Agent),
}

/// Carries out the change with a crash after no crash point, after one, after two …, each on a
/// device of its own, until it goes through without one. Returns how many there were.
async fn survives_every_crash(change: Change) -> u32 {
    let site = Site::start(Access::Open).await;
    for passed in 0..TOO_MANY {
        let id = format!("edge-{passed}");
        let mut device = Agent::new(&id, &site.server.url());
        (change.prepare)(&device);
        let mut generation = 1;
        if let Some(from) = &change.from {
            device.start();
            site.platform.put(&id, &manifest(&id, generation, from)).await;
            site.platform.status_where(&id, "converged before the change", converged_at(generation)).await;
            device.stop().await;
            generation += 1;
        }
        site.platform.put(&id, &manifest(&id, generation, &change.to)).await;
        device.start_to_crash_after(passed);
        let crashed = crashed_on_its_way(&site.platform, &mut device, generation).await;
        if crashed {
            device.start();
            let what = format!("converged after a crash past {passed} points");
            site.platform.status_where(&id, &what, converged_at(generation)).await;
            device.stop().await;
        }
        (change.check)(&device);
        for folder in [device.root(), device.state_dir()] {
            let left = temporary_files(&folder);
            assert!(
                left.is_empty(),
                "left behind after a crash past {passed} points: {left:?}\n{}",
                device.log()
            );
        }
        if !crashed {
            return passed;
        }
    }
    panic!("{TOO_MANY} crash points were not enough");
}

/// Whether the agent died before it had converged and could stop in good order.
async fn crashed_on_its_way(platform: &Platform, device: &mut Agent, generation: u64) -> bool {
    let id = device.id().to_owned();
    let ended = eventually("the agent converged or crashed", async || {
        if let Some(status) = device.ended() {
            return Ok(Some(status));
        }
        match platform.status(&id).await {
            Ok(status) if converged_at(generation)(&status) => Ok(None),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // It may have said that it converged, and have crashed afterwards.
    let status = match ended {
        Some(status) => status,
        None => device.terminate().await,
    };
    crashed(status)
}

#[tokio::test]
async fn a_first_document_survives_a_power_cut_at_every_step() {
    let points = survives_every_crash(Change {
        prepare: |device| device.write_by_hand("/etc/kept", "factory"),
        from: None,
        to: vec![file("new", "/opt/deep/new", "ours"), file_after("kept", &["new"], "/etc/kept", "ours")],
        check: |device| {
            assert_eq!(
                (device.read("/opt/deep/new"), device.read("/etc/kept")),
                ("ours".into(), "ours".into())
            );
        },
    })
    .await;
    assert!(points >= 4, "only {points} crash points: is this build armed?");
}

#[tokio::test]
async fn an_update_survives_a_power_cut_at_every_step() {
    let points = survives_every_crash(Change {
        prepare: |device| device.write_by_hand("/etc/kept", "factory"),
        from: Some(vec![file("a", "/etc/a", "1"), file("b", "/etc/b", "1"), file("kept", "/etc/kept", "1")]),
        to: vec![file("a", "/etc/a", "2"), file("c", "/etc/c", "2"), file("kept", "/etc/kept", "2")],
        check: |device| {
            let read = ["/etc/a", "/etc/c", "/etc/kept"].map(|path| device.read(path));
            assert_eq!(read, ["2", "2", "2"].map(str::to_owned));
            assert!(!device.path("/etc/b").exists());
        },
    })
    .await;
    assert!(points >= 4, "only {points} crash points: is this build armed?");
}

#[tokio::test]
async fn originals_come_back_whole_after_a_power_cut_at_every_step() {
    let points = survives_every_crash(Change {
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
        check: |device| {
            assert_eq!(
                (device.read("/etc/kept"), device.read("/etc/linked")),
                ("factory".into(), "factory".into())
            );
            let link = fs::read_link(device.path("/etc/link")).unwrap();
            assert_eq!(link, std::path::Path::new("linked"));
            assert!(!device.path("/opt").exists());
        },
    })
    .await;
    assert!(points >= 4, "only {points} crash points: is this build armed?");
}
