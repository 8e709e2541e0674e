//! An agent may die at any moment: there is no shim without a process, and no process without a shim.

use std::{
    io::Write as _,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

use process_shim::StartFailure;
use rustix::process::Signal;

use crate::held::{Held, eventually, launch, script};

#[test]
fn before_it_has_said_all_nothing_is_started() {
    for said in [0, 1, 100] {
        let mut held = Held::nothing();
        let mut socket = held.spawn(&[]);
        let message = serde_json::to_vec(&launch(&["sleep", "1000"])).unwrap();
        socket.write_all(&message[..said]).unwrap();
        drop(socket);
        held.assert_nothing_is_left();
    }
}

#[test]
fn before_it_reads_the_answer_the_process_is_held_all_the_same() {
    let mut held = Held::nothing();
    let mut socket = held.spawn(&[]);
    serde_json::to_writer(&mut socket, &launch(&["sleep", "1000"])).unwrap();
    drop(socket);
    let process = eventually("it is started", || {
        held.folder.shim_record().exists().then(|| held.record().process).flatten()
    });
    assert!(process.is_alive() && held.is_locked() && !held.has_ended());
    held.stop();
    assert!(held.end().success());
    assert!(!process.is_alive());
    assert!(held.exit_record().stopped);
}

#[test]
fn a_shim_that_dies_takes_its_process_with_it() {
    let mut held = Held::started(&script("trap '' TERM HUP INT; echo ready; sleep 1000"));
    held.line("ready");
    let process = held.process();
    held.kill_shim();
    eventually("the process has ended", || (!process.is_alive()).then_some(()));
    assert!(!held.is_locked());
    assert!(!held.folder.exit_record().exists());
}

#[test]
fn nothing_becomes_a_program_whose_parent_is_not_the_one_that_asked_for_it() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // Its parent is a shell, as it would be whoever takes the place of a shim that has died.
    let mut child = Command::new("sh")
        .args(["-c", "\"$@\"; exit $?", "sh", env!("CARGO_BIN_EXE_process-shim"), "exec"])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    serde_json::to_writer(&mut ours, &launch(&["true"]).program).unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    let failure: StartFailure = serde_json::from_reader(&mut ours).unwrap();
    assert_eq!(failure.message, "what started it has ended meanwhile");
    assert_eq!(child.wait().unwrap().code(), Some(127));
}

#[test]
fn a_shim_that_dies_before_its_process_has_become_the_program_leaves_none() {
    // As often as it takes to meet many moments of a start.
    for _ in 0..20 {
        let mut held = Held::nothing();
        let mut socket = held.spawn(&[]);
        serde_json::to_writer(&mut socket, &launch(&["sleep", "1000"])).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        eventually("it begins", || held.folder.shim_record().exists().then_some(()));
        held.signal_shim(Signal::KILL);
        held.end();
        eventually("nothing runs", || held.alive().is_empty().then_some(()));
    }
}
