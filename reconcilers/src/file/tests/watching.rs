//! Wakes: for what others did, and never for what we did.

use std::{os::fd::AsRawFd, pin::Pin};

use agent_model::Digest;
use futures_core::Stream;
use futures_util::StreamExt;

use super::*;
use crate::file::{sightings::Sighting, wakes, walk::Walker};

type Wakes = Pin<Box<dyn Stream<Item = Claim> + Send>>;

impl Rig {
    fn wakes(&self) -> Wakes {
        Box::pin(self.reconciler.wakes())
    }
}

/// The next wake; a test that gets none fails.
async fn next(wakes: &mut Wakes) -> String {
    let wake = tokio::time::timeout(Duration::from_secs(20), wakes.next()).await.expect("no wake came");
    let Some(Claim::File(path)) = wake else { panic!("{wake:?} instead of a file's claim") };
    path.to_string()
}

/// Nothing was woken for so far: the change made here is the first to be told of.
async fn assert_quiet(rig: &mut Rig, wakes: &mut Wakes) {
    rig.put("/marker", "moved");
    assert_eq!(next(wakes).await, "/marker");
    rig.pass().await;
    assert_eq!(rig.read("/marker"), "marker");
}

async fn watched(paths: &[&str]) -> (Rig, Wakes) {
    let mut rig = Rig::new();
    rig.declare("/marker", "marker");
    for path in paths {
        rig.declare(path, "one");
    }
    let wakes = rig.wakes();
    assert!(rig.pass().await.values().all(Outcome::is_ready));
    (rig, wakes)
}

#[tokio::test]
async fn what_we_do_ourselves_wakes_nobody() {
    let (mut rig, mut wakes) = watched(&["/x/y/a", "/x/b"]).await;
    assert_quiet(&mut rig, &mut wakes).await;
    rig.declare("/x/y/a", "two");
    rig.declare_as("/x/b", "one", |spec| spec.mode = "0600".parse().unwrap());
    rig.pass().await;
    assert_quiet(&mut rig, &mut wakes).await;
    rig.drop("/x/y/a");
    rig.pass().await;
    assert!(!rig.exists("/x/y/a"));
    assert_quiet(&mut rig, &mut wakes).await;
}

#[tokio::test]
async fn what_we_do_while_the_stream_is_read_wakes_nobody_either() {
    let mut rig = Rig::new();
    let mut wakes = rig.wakes();
    let woken = tokio::spawn(async move { next(&mut wakes).await });
    for turn in 0..20 {
        for index in 0..20 {
            rig.declare(&format!("/x/f{index}"), &format!("turn {turn}"));
        }
        rig.pass().await;
    }
    rig.put("/x/f7", "drift");
    assert_eq!(woken.await.unwrap(), "/x/f7");
}

#[tokio::test]
async fn every_change_to_a_declared_file_wakes_its_claim() {
    let (mut rig, mut wakes) = watched(&["/x/a"]).await;
    type Change = fn(&Rig);
    let changes: [Change; 7] = [
        |rig| rig.put("/x/a", "two"),
        |rig| rig.put("/x/a", "sameness"),
        |rig| rig.chmod("/x/a", 0o600),
        |rig| fs::remove_file(rig.at("/x/a")).unwrap(),
        |rig| fs::rename(rig.at("/x/a"), rig.at("/x/other")).unwrap(),
        |rig| {
            rig.put("/x/other", "three");
            fs::rename(rig.at("/x/other"), rig.at("/x/a")).unwrap();
        },
        // The very size it had: only reading it tells.
        |rig| rig.put("/x/a", "eno"),
    ];
    for change in changes {
        change(&rig);
        assert_eq!(next(&mut wakes).await, "/x/a");
        assert!(rig.pass().await["/x/a"].altered);
        assert_eq!(rig.read("/x/a"), "one");
        // A change may come in several events; after the repair they are no news.
        assert_quiet(&mut rig, &mut wakes).await;
    }
}

#[tokio::test]
async fn a_change_by_somebody_who_keeps_the_file_open_wakes_its_claim() {
    use std::io::Write as _;

    let (mut rig, mut wakes) = watched(&["/x/a"]).await;
    let mut open = fs::File::options().write(true).open(rig.at("/x/a")).unwrap();
    open.write_all(b"t").unwrap();
    assert_eq!(next(&mut wakes).await, "/x/a");
    assert!(rig.pass().await["/x/a"].altered);
    assert_eq!(rig.read("/x/a"), "one");
    // Theirs is another file by now.
    open.write_all(b"wo").unwrap();
    assert_quiet(&mut rig, &mut wakes).await;
}

#[tokio::test]
async fn names_that_nobody_declared_wake_nobody() {
    let (mut rig, mut wakes) = watched(&["/x/a"]).await;
    rig.put("/x/other", "1");
    rig.put("/y/a", "1");
    rig.mkdir("/x/a-folder");
    fs::remove_file(rig.at("/x/other")).unwrap();
    assert_quiet(&mut rig, &mut wakes).await;
}

#[tokio::test]
async fn a_folder_that_is_moved_away_or_deleted_wakes_all_below_and_is_watched_anew() {
    let (mut rig, mut wakes) = watched(&["/x/y/a", "/x/y/b"]).await;
    type Change = fn(&Rig);
    let changes: [Change; 3] = [
        |rig| fs::rename(rig.at("/x"), rig.at("/old")).unwrap(),
        |rig| fs::remove_dir_all(rig.at("/x")).unwrap(),
        |rig| fs::rename(rig.at("/x/y"), rig.at("/x/z")).unwrap(),
    ];
    for change in changes {
        change(&rig);
        let mut woken = [next(&mut wakes).await, next(&mut wakes).await];
        woken.sort();
        assert_eq!(woken, ["/x/y/a", "/x/y/b"]);
        rig.pass().await;
        assert_eq!((rig.read("/x/y/a").as_str(), rig.read("/x/y/b").as_str()), ("one", "one"));

        // Events about the old folder may still come; what happens in the new one must be told.
        rig.put("/marker", "moved");
        while next(&mut wakes).await != "/marker" {}
        rig.put("/x/y/b", "two");
        assert_eq!(next(&mut wakes).await, "/x/y/b");
        rig.pass().await;
        assert_quiet(&mut rig, &mut wakes).await;
    }
}

#[tokio::test]
async fn a_link_on_the_way_that_is_turned_elsewhere_wakes_what_lies_behind_it() {
    let mut rig = Rig::new();
    rig.mkdir("/real/one");
    rig.mkdir("/real/two");
    rig.link("/current", "real/one");
    rig.declare("/current/a", "one");
    rig.declare("/marker", "marker");
    let mut wakes = rig.wakes();
    rig.pass().await;
    rig.link("/next", "real/two");
    fs::rename(rig.at("/next"), rig.at("/current")).unwrap();
    assert_eq!(next(&mut wakes).await, "/current/a");
    rig.pass().await;
    assert_eq!(rig.read("/real/two/a"), "one");

    // And so does a folder that it leads through.
    rig.put("/marker", "moved");
    while next(&mut wakes).await != "/marker" {}
    fs::rename(rig.at("/real"), rig.at("/gone")).unwrap();
    assert_eq!(next(&mut wakes).await, "/current/a");
}

#[tokio::test]
async fn a_folder_that_somebody_makes_is_watched_before_there_is_a_file_in_it() {
    let mut rig = Rig::new();
    rig.declare("/x/y/a", "one");
    rig.declare("/marker", "marker");
    let mut wakes = rig.wakes();
    rig.reconciler.observe(&rig.targets()).await;
    rig.mkdir("/x");
    // The file is still missing, as it was: no news.
    rig.put("/marker", "moved");
    assert_eq!(next(&mut wakes).await, "/marker");
    rig.put("/x/y/a", "theirs");
    assert_eq!(next(&mut wakes).await, "/x/y/a");
}

#[tokio::test]
async fn watches_that_no_claim_needs_are_given_back() {
    let inotify = Inotify::init().unwrap();
    let kernel_side = format!("/proc/self/fdinfo/{}", inotify.as_raw_fd());
    let mut rig = Rig::with(SystemTime::now, Ok(inotify));
    let watches = || fs::read_to_string(&kernel_side).unwrap().matches("inotify wd:").count();
    rig.mkdir("/x");
    for path in ["/x/a", "/y/b", "/c"] {
        rig.declare(path, "one");
    }
    rig.pass().await;
    assert_eq!(watches(), 3);
    rig.drop("/x/a");
    rig.pass().await;
    rig.pass().await;
    assert!(rig.exists("/x"));
    assert_eq!(watches(), 2);
}

#[tokio::test]
async fn a_change_within_the_resolution_of_the_clock_is_still_news() {
    let (rig, _wakes) = watched(&["/x/a"]).await;
    let device = &rig.reconciler.device;
    let path = "/x/a".parse().unwrap();
    let is_news = || {
        let protected = device.protection.resolved();
        let mut walker = Walker::open(&device.root, &protected, &device.watcher).unwrap();
        wakes::is_news(device, &mut walker, &path)
    };
    assert!(!is_news());
    // As if the content had changed since, and left every field of the stamp as it was.
    let seen = device.sightings.when_idle(&path).flatten().unwrap();
    let other = Digest::of_bytes(b"another content");
    device.sightings.saw(&path, Sighting::new(seen.stamp, Some(other), SystemTime::now()));
    assert!(is_news());
}

#[tokio::test]
async fn lost_events_wake_every_claim() {
    let (rig, _wakes) = watched(&["/x/a"]).await;
    let device = &rig.reconciler.device;
    let overflow = device.watcher.overflow();
    let woken = wakes::news(device, &[overflow]);
    let claim = |path: &str| Claim::File(path.parse().unwrap());
    assert_eq!(woken, [claim("/marker"), claim("/x/a")]);
}

#[tokio::test]
async fn the_stream_is_taken_once_and_a_second_one_stays_silent() {
    let (rig, mut wakes) = watched(&["/x/a"]).await;
    let mut second = rig.wakes();
    rig.put("/x/a", "two");
    assert_eq!(next(&mut wakes).await, "/x/a");
    assert!(futures_util::poll!(second.next()).is_pending());
}

#[tokio::test]
async fn without_inotify_files_are_reconciled_and_the_stream_stays_silent() {
    let none_left = std::io::Error::from(rustix::io::Errno::MFILE);
    let mut rig = Rig::with(SystemTime::now, Err(none_left));
    let mut wakes = rig.wakes();
    rig.declare("/x/a", "one");
    assert!(rig.pass_one().await.altered);
    rig.put("/x/a", "two");
    assert!(futures_util::poll!(wakes.next()).is_pending());
    assert!(rig.pass_one().await.altered);
    assert_eq!(rig.read("/x/a"), "one");
}
