//! What a shim that was killed left behind is found, and nothing else.

use std::{
    collections::BTreeSet,
    process::{Child, Command, Stdio},
};

use process_shim::{MARKER, ProcessFolder, ProcessIdentity, ShimRecord, left_behind};
use rustix::process::Signal;

use crate::held::{Held, eventually, script};

/// Somebody else's process, in a session of its own; it ends with this value.
struct Stranger(Child);

impl Stranger {
    fn start(environment: Option<&str>) -> Self {
        let mut command = Command::new("setsid");
        command.args(["--wait", "sleep", "1000"]);
        if let Some(marker) = environment {
            command.env(MARKER, marker);
        }
        let stranger = Self(command.spawn().unwrap());
        eventually("it runs", || {
            let status = std::fs::read_to_string(format!("/proc/{}/comm", stranger.0.id())).unwrap();
            (status == "sleep\n").then_some(())
        });
        stranger
    }

    fn identity(&self) -> ProcessIdentity {
        ProcessIdentity::of(self.0.id()).unwrap().unwrap()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn found(folder: &ProcessFolder, record: &ShimRecord) -> BTreeSet<ProcessIdentity> {
    left_behind(folder, Some(record)).into_iter().collect()
}

/// Has a shim hold a process which starts something in that way, kills the shim, and returns what of
/// that way is left.
fn orphan_of(way: &str) -> (Held, ProcessIdentity) {
    let mut held = Held::nothing();
    let mut launch = script(&format!("{way} & echo away; exec sleep 1000"));
    let file = held.path("file");
    std::fs::write(&file, "").unwrap();
    launch.program.command.extend(["sh".to_owned(), file.to_str().unwrap().to_owned()]);
    held.start(&launch);
    held.line("away");
    let process = held.process();
    let orphan = eventually("it is away", || {
        let tail = |one: &ProcessIdentity| {
            std::fs::read_to_string(format!("/proc/{}/comm", one.pid)).is_ok_and(|comm| comm == "tail\n")
        };
        held.alive().into_iter().find(tail)
    });
    held.kill_shim();
    eventually("the process has ended", || (!process.is_alive()).then_some(()));
    assert!(orphan.is_alive());
    (held, orphan)
}

#[test]
fn it_is_found_by_the_marker_wherever_it_went() {
    let (held, orphan) = orphan_of("setsid tail -f $1 >/dev/null");
    let mut record = held.record();
    record.process = None;
    assert_eq!(found(&held.folder, &record), BTreeSet::from([orphan]));
    assert_eq!(left_behind(&held.folder, None), [orphan]);
}

#[test]
fn it_is_found_by_the_session_though_it_has_no_marker_any_more() {
    let (held, orphan) = orphan_of("env -i tail -f $1 >/dev/null");
    assert_eq!(left_behind(&held.folder, None), []);
    assert_eq!(found(&held.folder, &held.record()), BTreeSet::from([orphan]));
}

#[test]
fn strangers_are_never_found() {
    let mut held = Held::started(&script("exec sleep 1000"));
    let folder = held.folder.path().display().to_string();
    let process = held.process();
    held.kill_shim();
    eventually("the process has ended", || (!process.is_alive()).then_some(()));
    let others = [None, Some(format!("{folder}2")), Some("/".to_owned())];
    let strangers = others.map(|marker| Stranger::start(marker.as_deref()));
    let mut record = held.record();
    assert_eq!(found(&held.folder, &record), BTreeSet::new());

    // One that has got the number of the process since then, and leads a session by it.
    let stranger = strangers[0].identity();
    record.process = Some(ProcessIdentity { start_time: stranger.start_time - 1, ..stranger });
    assert_eq!(found(&held.folder, &record), BTreeSet::new());
    // To be sure that this was what kept it out.
    record.process = Some(stranger);
    assert_eq!(found(&held.folder, &record), BTreeSet::from([stranger]));
    // By the next boot it is another one altogether.
    record.boot_id = "another boot".to_owned();
    assert_eq!(found(&held.folder, &record), BTreeSet::new());
}

#[test]
fn one_in_the_session_that_is_older_than_the_process_is_a_stranger() {
    let mut held = Held::started(&script("exec sleep 1000"));
    held.kill_shim();
    // A session whose leader has ended: nobody can be asked whose it is.
    let leader = Command::new("setsid")
        .args(["sh", "-c", "sleep 1000 >/dev/null & echo $!"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let session = leader.id();
    let printed = String::from_utf8(leader.wait_with_output().unwrap().stdout).unwrap();
    let member = ProcessIdentity::of(printed.trim().parse().unwrap()).unwrap().unwrap();
    let found_by = |start_time| {
        let process = Some(ProcessIdentity { pid: session, start_time });
        found(&held.folder, &ShimRecord { process, ..held.record() })
    };
    let (older, younger) = (found_by(member.start_time + 1), found_by(member.start_time));
    member.signal(Signal::KILL).unwrap();
    assert_eq!((older, younger), (BTreeSet::new(), BTreeSet::from([member])));
}
