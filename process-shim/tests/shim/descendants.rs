//! Whatever a process does to leave something behind, nothing of it is left when its shim has ended.

use std::{fs, os::unix::fs::PermissionsExt};

use process_shim::{End, Launch};

use crate::held::{Held, eventually, script};

/// Ways of getting away, each heedless of SIGTERM. They are called with a file that they make once they
/// are away, and go on for ever.
const WAYS: [(&str, &str); 6] = [
    ("heeds_nothing", "trap '' TERM HUP; touch $1; exec tail -f $1"),
    ("daemonises", "trap '' TERM HUP; (setsid sh -c 'touch $1; exec tail -f $1' sh $1 &)"),
    (
        "daemonises_without_a_trace",
        "trap '' TERM HUP; \
         (setsid env -i sh -c 'touch $1; exec tail -f $1' sh $1 </dev/null >/dev/null 2>&1 &)",
    ),
    ("starts_others_for_ever", "trap '' TERM; while :; do tail -f $1 & sleep 0.01; touch $1; done"),
    // Each lives for as long as it takes to start the next one.
    ("starts_itself_anew_for_ever", "trap '' TERM; touch $1; exec $1.anew $1"),
    (
        "forks_itself_anew_for_ever",
        "trap '' TERM; touch $1; \
         exec python3 -c 'import os\nwhile True:\n    if os.fork(): os._exit(0)' $1",
    ),
];

/// A process that lets something get away in that way, and goes on as `then` says.
fn with_escape(way: &str, then: &str) -> (Held, Launch) {
    let mut launch =
        script(&format!("sh -c \"$2\" sh $1 & until [ -e $1 ]; do sleep 0.01; done; echo away; {then}"));
    let held = Held::nothing();
    let (file, anew) = (held.path("file"), held.path("file.anew"));
    fs::write(&anew, "#!/bin/sh\n$0 $1 &\n").unwrap();
    fs::set_permissions(&anew, fs::Permissions::from_mode(0o755)).unwrap();
    launch.program.command.extend(["sh", file.to_str().unwrap(), way].map(str::to_owned));
    launch.stop.timeout_ms = 300;
    (held, launch)
}

#[test]
fn nothing_is_left_after_a_stop() {
    for (name, way) in WAYS {
        let (mut held, launch) = with_escape(way, "exec sleep 1000");
        held.start(&launch);
        held.line("away");
        // Who starts itself anew all the time is missed by some looks.
        eventually(&format!("{name} is seen"), || (held.alive().len() > 1).then_some(()));
        held.stop();
        held.end();
        assert!(held.alive().is_empty(), "{name}: {:?}", held.alive());
        assert!(held.exit_record().stopped);
    }
}

#[test]
fn nothing_is_left_after_a_process_has_ended_by_itself() {
    for (name, way) in WAYS {
        let (mut held, launch) = with_escape(way, "exit 6");
        held.start(&launch);
        held.end();
        assert!(held.alive().is_empty(), "{name}: {:?}", held.alive());
        assert_eq!((held.exit_record().end, held.exit_record().stopped), (End::Code(6), false), "{name}");
    }
}

#[test]
fn whoever_gets_away_is_held_for_as_long_as_the_process_runs() {
    let (mut held, launch) = with_escape(WAYS[2].1, "exec sleep 1000");
    held.start(&launch);
    held.line("away");
    let shim = format!("PPid:\t{}", held.shim_id());
    let children = || {
        let alive = held.alive().into_iter();
        let statuses = alive.filter_map(|one| fs::read_to_string(format!("/proc/{}/status", one.pid)).ok());
        statuses.filter(|status| status.lines().any(|line| line == shim)).count()
    };
    eventually("the shim has adopted it", || (children() == 2).then_some(()));
}
