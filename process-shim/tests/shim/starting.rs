//! What holds once a shim has answered that it started.

use std::fs;

use process_shim::{Answer, ProcessIdentity, boot_id, boot_time};

use crate::held::{Held, launch, proc_file};

#[test]
fn it_answers_when_the_program_runs_and_not_before() {
    let held = Held::started(&launch(&["sleep", "1000"]));
    let process = held.process();
    assert!(process.is_alive());
    // While it sets things up it has another name.
    assert_eq!(proc_file(process, "comm"), "sleep\n");
    assert_eq!(proc_file(process, "cmdline"), "sleep\x001000\0");
}

#[test]
fn the_record_names_shim_and_process_and_whose_run_it_is() {
    let held = Held::started(&launch(&["sleep", "1000"]));
    let record = held.record();
    assert_eq!(Some(record.shim), ProcessIdentity::of(held.shim_id()).unwrap());
    let parent = format!("PPid:\t{}", held.shim_id());
    assert!(proc_file(held.process(), "status").lines().any(|line| line == parent));
    assert_eq!((record.run.as_str(), record.digest.as_str()), ("run-1", "sha256:0"));
    assert_eq!(record.boot_id, boot_id().unwrap());
    assert!(u128::from(record.started_ms) <= boot_time().as_millis());
    assert!(!record.stopping);
    let text = fs::read_to_string(held.folder.shim_record()).unwrap();
    assert!(text.starts_with(r#"{"version":1,"#), "{text}");
}

#[test]
fn the_lock_is_held_for_as_long_as_the_shim_lives() {
    // It lives on while something of its process does.
    let mut held = Held::started(&crate::held::script("sleep 1000 </dev/null >/dev/null 2>&1 & sleep 1000"));
    assert!(held.is_locked());
    let lock = fs::canonicalize(held.folder.lock()).unwrap();
    for process in held.alive() {
        let open = fs::read_dir(format!("/proc/{}/fd", process.pid)).unwrap();
        let open: Vec<_> = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok()).collect();
        assert!(!open.contains(&lock), "{process:?} has the lock: {open:?}");
    }
    held.stop();
    held.end();
    assert!(!held.is_locked());
}

#[test]
fn another_start_in_the_folder_is_another_run_with_a_record_of_its_own() {
    let mut held = Held::started(&launch(&["true"]));
    assert!(held.end().success());
    let mut second = launch(&["sleep", "1000"]);
    second.run = "run-2".to_owned();
    held.start(&second);
    assert_eq!(held.record().run, "run-2");
    assert_eq!(held.exit_record().run, "run-1");
}

#[test]
fn a_shim_whose_session_began_outside_its_namespace_of_process_ids_starts_its_process() {
    let mut held = Held::nothing();
    // The outermost process waits, and takes the namespace and all in it along.
    let starter = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"];
    // By way of a shell that stays, so that the shim is not the namespace's own first process, whose
    // session it would be to begin.
    let shell = ["sh", "-c", "\"$@\"; exit $?", "sh"];
    let starter: Vec<&str> = starter.into_iter().chain(shell).collect();
    assert_eq!(held.ask_through(&starter, &launch(&["sleep", "1000"])), Answer::Started);
    assert!(held.is_locked());
}
