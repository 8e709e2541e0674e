//! How a process ends, and how it is made to.

use std::{
    fs::{self, File},
    io::Write as _,
    os::fd::AsRawFd as _,
    time::{Duration, Instant},
};

use process_shim::{Answer, End, ExitRecord, boot_time, log_line::Stream};
use rustix::process::Signal;

use crate::held::{Held, eventually, launch, pause, proc_file, script};

/// How that script ended, and whether that was asked for.
fn end_of(text: &str) -> (End, bool) {
    let mut held = Held::started(&script(text));
    assert!(held.end().success());
    let (record, exit) = (held.record(), held.exit_record());
    assert_eq!((&exit.run, &exit.boot_id), (&record.run, &record.boot_id));
    assert!(exit.ended_ms >= record.started_ms);
    assert!(!exit.out_of_memory);
    (exit.end, exit.stopped)
}

/// Waits until the shim has taken in all signals that were sent to it.
fn signals_are_taken(held: &Held) {
    eventually("the shim has no signal pending", || {
        let status = fs::read_to_string(format!("/proc/{}/status", held.shim_id())).unwrap();
        let pending = |name| status.contains(&format!("{name}:\t0000000000000000"));
        (pending("SigPnd") && pending("ShdPnd")).then_some(())
    });
}

#[test]
fn the_exit_record_has_the_code_or_the_signal() {
    assert_eq!(end_of("exit 0"), (End::Code(0), false));
    assert_eq!(end_of("exit 7"), (End::Code(7), false));
    assert_eq!(end_of("kill -USR1 $$"), (End::Signal(Signal::USR1.as_raw()), false));
    assert_eq!(end_of("kill -KILL $$"), (End::Signal(Signal::KILL.as_raw()), false));
    // Not even when the signal is the one by which it would be stopped.
    assert_eq!(end_of("kill -TERM $$"), (End::Signal(Signal::TERM.as_raw()), false));
}

#[test]
fn the_exit_record_says_when_the_end_was_asked_for() {
    let mut held = Held::started(&launch(&["sleep", "1000"]));
    held.stop();
    assert!(held.end().success());
    assert!(held.record().stopping);
    assert_eq!((held.exit_record().end, held.exit_record().stopped), (End::Signal(15), true));

    let mut held = Held::started(&script("trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done"));
    held.line("ready");
    held.stop();
    held.end();
    assert_eq!((held.exit_record().end, held.exit_record().stopped), (End::Code(3), true));
}

#[test]
fn an_end_that_comes_before_it_is_asked_for_was_not_asked_for() {
    let text =
        "sh -c 'trap \"\" TERM; echo ready; sleep 1000' & trap 'exit 5' USR1; while :; do sleep 0.02; done";
    let mut held = Held::started(&script(text));
    held.line("ready");
    held.process().signal(Signal::USR1).unwrap();
    let exit = || held.folder.exit_record().exists().then(|| held.exit_record());
    let exit = eventually("the end is recorded", exit);
    // What it left behind goes on for now.
    assert!(held.is_locked() && !held.alive().is_empty());
    held.stop();
    signals_are_taken(&held);
    assert_eq!((exit.end, exit.stopped), (End::Code(5), false));
    assert_eq!(held.exit_record(), exit);
    held.kill_shim();
}

#[test]
fn the_declared_signal_is_the_one_that_it_gets() {
    let mut asked = script("trap 'echo asked; exit 0' USR2; echo ready; while :; do sleep 0.02; done");
    asked.stop.signal = Signal::USR2.as_raw();
    let mut held = Held::started(&asked);
    held.line("ready");
    held.stop();
    held.end();
    held.line("asked");
    assert_eq!(held.exit_record().end, End::Code(0));
}

#[test]
fn asking_again_changes_nothing() {
    let text = "trap 'echo term' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.02; done";
    let mut held = Held::started(&script(text));
    held.line("ready");
    held.stop();
    held.line("term");
    for _ in 0..2 {
        held.stop();
        signals_are_taken(&held);
    }
    // What was sent before this one has arrived when it has.
    held.process().signal(Signal::USR1).unwrap();
    held.line("usr1");
    assert_eq!(held.printed(Stream::Stdout), "ready\nterm\nusr1\n");
    assert!(held.process().is_alive() && !held.has_ended());
}

#[test]
fn what_a_process_left_behind_is_asked_once_it_has_ended_and_not_before() {
    let text = "sh -c 'trap \"echo child asked; exit\" TERM; echo ready; while :; do sleep 0.02; done' &
        trap 'sleep 0.2; echo process ends; exit' TERM; while :; do sleep 0.02; done";
    let mut held = Held::started(&script(text));
    held.line("ready");
    held.stop();
    held.end();
    assert_eq!(held.printed(Stream::Stdout), "ready\nprocess ends\nchild asked\n");
    assert!(held.alive().is_empty());
}

#[test]
fn what_a_process_that_ended_by_itself_left_behind_is_asked_as_well() {
    let text =
        "sh -c 'trap \"echo child asked; exit\" TERM; echo ready >$1; while :; do sleep 0.02; done' sh $1 &
        until [ -s $1 ]; do sleep 0.02; done; exit 4";
    let mut asked = script(text);
    let mut held = Held::nothing();
    asked.program.command.extend(["sh".to_owned(), held.path("ready").to_str().unwrap().to_owned()]);
    held.start(&asked);
    held.end();
    assert_eq!(held.printed(Stream::Stdout), "child asked\n");
    assert_eq!((held.exit_record().end, held.exit_record().stopped), (End::Code(4), false));
}

#[test]
fn nothing_is_killed_before_the_time_out_and_everything_after_it() {
    let mut asked = script("trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done");
    asked.stop.timeout_ms = 700;
    let mut held = Held::started(&asked);
    held.line("ready");
    let asked_at = boot_time();
    held.stop();
    held.line("asked");
    assert!(held.process().is_alive());
    held.end();
    let exit = held.exit_record();
    assert_eq!(exit.end, End::Signal(Signal::KILL.as_raw()));
    assert!(u128::from(exit.ended_ms) >= asked_at.as_millis() + 700);
}

#[test]
fn one_time_out_holds_for_the_process_and_what_it_leaves_behind() {
    const TIMEOUT: u64 = 2000;
    // The process needs nearly all of it, and what it leaves behind heeds nothing.
    let text = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.02; done' &
        trap 'sleep 1.8; exit 0' TERM; while :; do sleep 0.02; done";
    let mut asked = script(text);
    asked.stop.timeout_ms = TIMEOUT;
    let mut held = Held::started(&asked);
    held.line("ready");
    let asked_at = boot_time();
    held.stop();
    held.end();
    let took = (boot_time() - asked_at).as_millis();
    assert_eq!(held.exit_record().end, End::Code(0));
    let ended_after = u128::from(held.exit_record().ended_ms) - asked_at.as_millis();
    assert!(took >= TIMEOUT.into(), "killed after {took} ms");
    assert!(took < ended_after + u128::from(TIMEOUT), "{took} ms, of which the process took {ended_after}");
}

#[test]
fn a_time_out_beyond_all_clocks_never_comes() {
    let mut asked = script("trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done");
    asked.stop.timeout_ms = u64::MAX;
    let mut held = Held::started(&asked);
    held.line("ready");
    held.stop();
    held.line("asked");
    assert!(held.process().is_alive() && !held.has_ended());
}

#[test]
fn whoever_learns_of_the_end_finds_in_the_log_what_was_said_last() {
    // Nearly as much as a pipe holds.
    let text = "sh -c 'trap \"\" TERM; sleep 1000' & until [ -e $1 ]; do sleep 0.02; done; seq 12000; exit 1";
    let mut asked = script(text);
    let mut held = Held::nothing();
    let go_on = held.path("go-on");
    asked.program.command.extend(["sh".to_owned(), go_on.to_str().unwrap().to_owned()]);
    held.start(&asked);
    fs::write(go_on, "").unwrap();
    // Without a pause, so that the log is read in the moment after.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !held.folder.exit_record().exists() {
        assert!(Instant::now() < deadline, "its end is not recorded");
    }
    assert_eq!(held.printed(Stream::Stdout).lines().last(), Some("12000"));
}

#[test]
fn a_shim_waits_without_doing_anything() {
    let held = Held::started(&launch(&["sleep", "1000"]));
    let shim = held.record().shim;
    let switches = || {
        let status = proc_file(shim, "status");
        status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("it sleeps", || proc_file(shim, "stat").contains(") S ").then_some(()));
    let before = switches();
    pause(Duration::from_millis(500));
    assert_eq!(switches(), before);
}

#[test]
fn how_it_ended_is_written_down_on_a_full_disk_too() {
    let mut held = Held::nothing();
    let file = held.path("file");
    let mut asked = script("until [ -e $1 ]; do sleep 0.02; done; exit 7");
    asked.program.command.extend(["sh".to_owned(), file.to_str().unwrap().to_owned()]);
    assert_eq!(held.ask_on_small_disk("64k", &asked), Answer::Started);
    // The disk lasts as long as somebody has something of it open.
    let open = File::open(held.folder_inside().path()).unwrap();
    let folder = std::path::PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    let mut ballast = File::create(folder.join("ballast")).unwrap();
    while ballast.write_all(&[0; 64]).is_ok() {}
    fs::write(&file, "").unwrap();
    assert!(held.end().success());
    let exit = ExitRecord::read(&folder.join("exit.json")).unwrap().expect("it is there");
    assert_eq!(exit.end, End::Code(7));
}
