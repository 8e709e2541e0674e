//! Each way in which a start can fail says so in clear words, and leaves nothing.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt, path::Path};

use process_shim::{Answer, Credentials, Launch, StartFailure, StartStage};

use crate::held::{Held, assert_root, launch, script};

/// Nobody in particular.
const STRANGER: u32 = 54_321;

fn assert_fails(held: &mut Held, launch: &Launch, stage: StartStage, words: &[&str]) {
    let StartFailure { stage: failed_at, message } = held.fails(launch);
    assert_eq!(failed_at, stage, "{message}");
    for words in words {
        assert!(message.contains(words), "{message:?} lacks {words:?}");
    }
}

fn write(path: &Path, content: &str, mode: u32) -> String {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_command_that_is_not_there_is_no_command() {
    let mut held = Held::nothing();
    for name in ["no-such-program", "/no/such/program", "./no-such-program"] {
        let words = [name, "No such file or directory"];
        assert_fails(&mut held, &launch(&[name]), StartStage::NoCommand, &words);
    }
}

#[test]
fn a_file_of_the_working_folder_is_no_command_unless_it_is_named_by_its_path() {
    let mut held = Held::nothing();
    write(&held.path("program"), "#!/bin/sh\n", 0o755);
    let mut asked = launch(&["program"]);
    asked.program.workdir = held.path("");
    assert_fails(&mut held, &asked, StartStage::NoCommand, &["program"]);
    asked.program.command = vec!["./program".to_owned()];
    held.start(&asked);
}

#[test]
fn a_file_that_cannot_be_run_is_said_to_be_there() {
    let mut held = Held::nothing();
    let not_executable = write(&held.path("not-executable"), "#!/bin/sh\n", 0o644);
    let words = [not_executable.as_str(), "Permission denied"];
    assert_fails(&mut held, &launch(&[&not_executable]), StartStage::Command, &words);

    let folder = held.path("").to_str().unwrap().to_owned();
    assert_fails(&mut held, &launch(&[&folder]), StartStage::Command, &["Permission denied"]);

    let no_interpreter = write(&held.path("no-interpreter"), "#!/no/such/interpreter\n", 0o755);
    let words = [no_interpreter.as_str(), "interpreter"];
    assert_fails(&mut held, &launch(&[&no_interpreter]), StartStage::Command, &words);
    let mut found_by_name = launch(&["no-interpreter"]);
    found_by_name.program.environment.insert("PATH".to_owned(), folder);
    assert_fails(&mut held, &found_by_name, StartStage::Command, &["interpreter"]);
}

#[test]
fn a_working_folder_that_cannot_be_entered_is_named() {
    let mut held = Held::nothing();
    let mut asked = launch(&["true"]);
    asked.program.workdir = held.path("missing");
    let missing = held.path("missing").display().to_string();
    assert_fails(&mut held, &asked, StartStage::Workdir, &[&missing, "No such file or directory"]);

    let file = write(&held.path("file"), "", 0o644);
    asked.program.workdir = file.clone().into();
    assert_fails(&mut held, &asked, StartStage::Workdir, &[&file, "Not a directory"]);
}

#[test]
fn a_limit_that_may_not_be_set_is_named() {
    let mut held = Held::nothing();
    let mut asked = launch(&["true"]);
    // More than the system permits anybody: fs.nr_open.
    asked.program.open_files = Some(1 << 40);
    let words = ["openFiles 1099511627776", "Operation not permitted"];
    assert_fails(&mut held, &asked, StartStage::Limit, &words);
}

#[test]
fn a_control_group_that_is_not_there_is_named() {
    let mut held = Held::nothing();
    let mut asked = launch(&["true"]);
    asked.program.control_groups = vec!["/sys/fs/cgroup/no-such-group".into()];
    let words = ["/sys/fs/cgroup/no-such-group", "No such file or directory"];
    assert_fails(&mut held, &asked, StartStage::ControlGroup, &words);
}

#[test]
fn rights_that_nobody_may_take_are_named_and_an_unknown_user_is_as_good_as_any() {
    assert_root();
    let mut held = Held::nothing();
    let mut asked = launch(&["id"]);
    asked.program.credentials =
        Some(Credentials { uid: STRANGER, gid: STRANGER, groups: vec![STRANGER + 1] });
    held.start(&asked);
    let ids = format!("uid={STRANGER} gid={STRANGER} groups={STRANGER},{}", STRANGER + 1);
    assert_eq!(held.line("uid="), ids["uid=".len()..]);
    held.end();

    // The same by an agent that is not root.
    let mut held = Held::nothing();
    for path in [held.path(""), held.folder.path().to_owned()] {
        std::os::unix::fs::chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    asked.program.credentials = Some(Credentials { uid: 0, gid: 0, groups: vec![0] });
    let stranger = STRANGER.to_string();
    let starter = ["setpriv", "--reuid", &stranger, "--regid", &stranger, "--clear-groups"];
    let Answer::Failed(failure) = held.ask_through(&starter, &asked) else { panic!("it became root") };
    assert_eq!(failure.stage, StartStage::User);
    assert_eq!(failure.message, "user 0 with group 0: Operation not permitted (os error 1)");
    held.assert_nothing_is_left();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let mut held = Held::nothing();
    // Not even root can write a folder as if it were a file.
    fs::create_dir(held.folder.log(0)).unwrap();
    let log = held.folder.log(0).display().to_string();
    assert_fails(&mut held, &launch(&["true"]), StartStage::Shim, &[&log, "Is a directory"]);
    fs::remove_dir(held.folder.log(0)).unwrap();

    fs::create_dir(held.folder.shim_record().with_extension("tmp")).unwrap();
    let record = held.folder.shim_record().display().to_string();
    assert_fails(&mut held, &launch(&["true"]), StartStage::Shim, &[&record, "Is a directory"]);
}

#[test]
fn a_program_that_runs_already_is_ended_with_all_that_it_started_when_it_cannot_be_recorded() {
    let mut held = Held::nothing();
    // Room for the record that something is about to run, and none for what.
    let asked = script("trap '' TERM; setsid sleep 1000 & while :; do sleep 0.02; done");
    let Answer::Failed(failure) = held.ask_on_small_disk("4k", &asked) else { panic!("it was started") };
    assert_eq!(failure.stage, StartStage::Shim);
    assert!(failure.message.contains("No space left on device"), "{}", failure.message);
    held.assert_nothing_is_left();
}

#[test]
fn what_is_no_launch_of_its_version_is_refused() {
    let answer = |message: &str| {
        let mut held = Held::nothing();
        let mut socket = held.spawn(&[]);
        socket.write_all(message.as_bytes()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = std::io::read_to_string(&mut socket).unwrap();
        held.assert_nothing_is_left();
        match serde_json::from_str(&answer).unwrap() {
            Answer::Failed(StartFailure { stage: StartStage::Shim, message }) => message,
            answer => panic!("{message} was answered {answer:?}"),
        }
    };
    // A version of which nothing is known but that it is another one.
    let refusal = answer(r#"{"version": 2, "holds": []}"#);
    assert!(refusal.contains("version 2 and knows version 1"), "{refusal}");
    for message in ["", "{}", r#"{"version": 1}"#, "no JSON"] {
        let refusal = answer(message);
        assert!(refusal.contains("cannot be read: "), "{message:?}: {refusal}");
    }
}
