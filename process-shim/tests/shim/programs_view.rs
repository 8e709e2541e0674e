//! What a program finds when it starts: what was asked for, and nothing of whoever started the agent.

use process_shim::{Answer, Launch, log_line::Stream};

use crate::held::{Held, launch, script};

/// Leaves to what it starts what a careless starter may: signals ignored, a descriptor open, modes
/// masked, a working folder, and being the first to go when memory runs out.
const CARELESS: [&str; 4] = [
    "sh",
    "-euc",
    "trap '' HUP INT QUIT TERM PIPE USR1; umask 077; cd /tmp; exec 7</dev/zero; \
     echo 500 >/proc/self/oom_score_adj; exec \"$@\"",
    "sh",
];

/// Signals 32 and 33, which the GNU C library keeps for itself (nptl(7)).
const OF_THE_C_LIBRARY: u64 = 0b11 << 31;

/// What the program printed.
fn seen_by(launch: &Launch) -> String {
    let mut held = Held::nothing();
    assert_eq!(held.ask_through(&CARELESS, launch), Answer::Started);
    held.end();
    held.printed(Stream::Stdout)
}

#[test]
fn its_environment_is_exactly_what_was_asked_for() {
    let mut asked = launch(&["/usr/bin/env"]);
    asked.program.environment.clear();
    asked.program.environment.insert("GREETING".to_owned(), "two\nlines = ünïcode".to_owned());
    let seen = seen_by(&asked);
    let mut variables: Vec<&str> = seen.split_inclusive('\n').collect();
    // By which all that descends from it is recognised.
    variables.retain(|variable| !variable.starts_with("HARMONY_PROCESS="));
    assert_eq!(variables.concat(), "GREETING=two\nlines = ünïcode\n");
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let status = seen_by(&launch(&["cat", "/proc/self/status"]));
    for name in ["SigPnd", "SigBlk", "SigIgn", "SigCgt"] {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        let signals = u64::from_str_radix(value.unwrap(), 16).unwrap();
        assert_eq!(signals & !OF_THE_C_LIBRARY, 0, "{status}");
    }
}

#[test]
fn nothing_is_open_but_the_three() {
    let listed = seen_by(&launch(&["ls", "-l", "/proc/self/fd"]));
    let mut open: Vec<&str> =
        listed.lines().filter_map(|line| line.split_once(" -> ")).map(|(_, to)| to).collect();
    // What `ls` itself has opened.
    open.retain(|to| !to.starts_with("/proc/"));
    assert_eq!(open.len(), 3, "{listed}");
    assert_eq!(open[0], "/dev/null");
    assert!(open[1].starts_with("pipe:") && open[2].starts_with("pipe:") && open[1] != open[2], "{listed}");
}

#[test]
fn it_has_a_session_of_its_own_and_what_every_program_has_by_default() {
    let mut asked = script(
        "umask; cat /proc/self/oom_score_adj; pwd; ulimit -n; ulimit -Hn; \
         cut -d ' ' -f 6 /proc/self/stat; echo $$",
    );
    asked.program.workdir = "/usr".into();
    asked.program.open_files = Some(123);
    let seen = seen_by(&asked);
    let [umask, oom_score, workdir, soft, hard, session, pid] = seen.lines().collect::<Vec<_>>()[..] else {
        panic!("{seen}");
    };
    assert_eq!([umask, oom_score, workdir, soft, hard], ["0022", "0", "/usr", "123", "123"]);
    assert_eq!(session, pid);
}

#[test]
fn without_a_limit_of_its_own_it_may_open_as_many_files_as_is_customary() {
    assert_eq!(seen_by(&script("ulimit -n")), "1024\n");
}

#[test]
fn a_shim_itself_keeps_nothing_open_that_was_left_to_it() {
    let mut held = Held::nothing();
    assert_eq!(held.ask_through(&CARELESS, &launch(&["sleep", "1000"])), Answer::Started);
    let open = std::fs::read_dir(format!("/proc/{}/fd", held.shim_id())).unwrap();
    let open: Vec<_> = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect();
    assert!(!open.contains(&"/dev/zero".into()), "{open:?}");
}
