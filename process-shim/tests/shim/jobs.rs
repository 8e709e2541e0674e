//! What only something that runs to its end needs of a shim: a time by which it has to, what it printed first, and a
//! stop that reaches what stands within another program.

use std::fs;

use process_shim::{End, log_line::Stream};
use rustix::process::Signal;

use crate::held::{Held, lines, script};

#[test]
fn what_is_not_over_in_time_is_killed_with_all_it_started_and_the_record_says_why() {
    let mut late = script("trap '' TERM; (trap '' TERM; sleep 1000) & sleep 1000");
    late.deadline_ms = Some(300);
    let mut held = Held::started(&late);
    assert!(held.end().success());
    let exit = held.exit_record();
    assert_eq!((exit.end, exit.timed_out, exit.stopped), (End::Signal(Signal::KILL.as_raw()), true, false));
    assert!(held.alive().is_empty());
    let mut early = script("exit 3");
    early.deadline_ms = Some(60_000);
    let mut held = Held::started(&early);
    assert!(held.end().success());
    assert_eq!((held.exit_record().end, held.exit_record().timed_out), (End::Code(3), false));
}

#[test]
fn what_is_printed_first_is_kept_whatever_is_rotated_out() {
    let mut chatty = script("i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done");
    (chatty.log.max_size, chatty.log.keep, chatty.log.head) = (4096, 1, 1000);
    let mut held = Held::started(&chatty);
    assert!(held.end().success());
    let head = fs::read(held.folder.head()).unwrap();
    assert!(head.len() <= 1000 && head.len() > 900, "{} bytes", head.len());
    assert!(lines(&head)[0].ends_with(b" line 0"));
    assert!(!held.printed(Stream::Stdout).contains("line 0\n"), "nothing was rotated out");
}

#[test]
fn a_stop_for_what_is_within_passes_by_what_stands_around_it() {
    let mut around =
        script("sh -c 'trap \"echo asked; exit 5\" TERM; echo ready; while :; do sleep 0.05; done'; exit $?");
    around.stop.descendants = true;
    let mut held = Held::started(&around);
    held.line("ready");
    held.stop();
    assert!(held.end().success());
    assert_eq!((held.exit_record().end, held.exit_record().stopped), (End::Code(5), true));
    assert!(held.printed(Stream::Stdout).contains("asked"));
}
