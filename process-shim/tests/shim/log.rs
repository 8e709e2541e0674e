//! What a process prints is kept, within bounds, whatever happens to the disk.

use std::fs;

use process_shim::{
    Answer, End, LogSettings,
    log_line::{LogLine, MAX_PIECE, Stream},
};

use rustix::process::Signal;

use crate::held::{Held, eventually, launch, lines, script};

/// Longest line of a log: a piece, and what stands before it.
const MAX_LINE: u64 = MAX_PIECE as u64 + 64;

#[test]
fn both_streams_are_kept_apart_byte_for_byte() {
    let mut held = Held::started(&script("printf 'a\\377\\000b\\n\\n'; printf 'to stderr' >&2; printf last"));
    held.end();
    let log = fs::read(held.folder.log(0)).unwrap();
    let log = lines(&log);
    let mut read: Vec<_> = log.iter().map(|line| LogLine::parse(line).unwrap()).collect();
    // In which order the streams are read is nobody's business.
    read.sort_by_key(|line| line.stream == Stream::Stderr);
    let contents: Vec<&[u8]> = read.iter().map(|line| line.content).collect();
    assert_eq!(contents, [&b"a\xff\0b"[..], b"", b"last", b"to stderr"]);
    assert!(read.iter().all(|line| !line.partial));
}

#[test]
fn a_flood_stays_within_its_bounds_and_stops_nobody() {
    const FLOOD: usize = 200_000_000;
    let settings = LogSettings { max_size: 1 << 20, keep: 2, head: 0 };
    let mut asked = script(&format!("yes {} | head -c {FLOOD}; echo; echo through >&2", "flood".repeat(200)));
    asked.log = settings;
    let mut held = Held::started(&asked);
    held.end();
    assert_eq!(held.exit_record().end, End::Code(0));
    assert_eq!(held.printed(Stream::Stderr), "through\n");
    let files: Vec<u64> =
        (0..9).filter_map(|number| Some(held.folder.log(number).metadata().ok()?.len())).collect();
    assert_eq!(files.len(), 3);
    let bound = settings.max_size * (u64::from(settings.keep) + 1) + MAX_LINE;
    assert!(files.iter().sum::<u64>() <= bound, "{files:?}");
}

#[test]
fn a_line_without_end_is_bounded_as_well() {
    let mut asked = script("head -c 10000000 /dev/zero | tr '\\0' x");
    asked.log = LogSettings { max_size: 100_000, keep: 1, head: 0 };
    let mut held = Held::started(&asked);
    held.end();
    let sizes = [0, 1].map(|number| held.folder.log(number).metadata().unwrap().len());
    assert!(sizes.iter().sum::<u64>() <= 2 * 100_000 + MAX_LINE, "{sizes:?}");
    let printed = held.printed(Stream::Stdout);
    assert_eq!(printed.trim_end_matches('\n').trim_matches('x'), "");
}

#[test]
fn whoever_prints_after_the_process_has_ended_is_kept_too() {
    let text = "(trap 'echo late; exit' TERM; echo ready; while :; do sleep 0.02; done) &
        trap 'exit 0' USR1; while :; do sleep 0.02; done";
    let mut held = Held::started(&script(text));
    held.line("ready");
    held.process().signal(Signal::USR1).unwrap();
    held.end();
    assert_eq!(held.printed(Stream::Stdout), "ready\nlate\n");
}

#[test]
fn a_full_disk_loses_lines_and_says_so_and_the_process_goes_on() {
    let mut held = Held::nothing();
    let mut asked = script(
        "head -c 700000 /dev/zero >$2/ballast; seq 1 60000; touch $1.printed; \
         until [ -e $1.freed ]; do sleep 0.02; done; echo afterwards; exec sleep 1000",
    );
    let (file, folder) = (held.path("file"), held.folder.path().to_owned());
    let words = ["sh".into(), file.clone(), folder].map(|word| word.to_str().unwrap().to_owned());
    asked.program.command.extend(words);
    asked.log = LogSettings { max_size: 10 << 20, keep: 1, head: 0 };
    assert_eq!(held.ask_on_small_disk("1200k", &asked), Answer::Started);
    let inside = held.folder_inside();
    eventually("all is printed", || file.with_extension("printed").exists().then_some(()));
    let read = || -> Vec<_> { lines(&fs::read(inside.log(0)).unwrap()) };
    // More room than what still is in the pipe needs.
    fs::remove_file(inside.path().join("ballast")).unwrap();
    fs::write(file.with_extension("freed"), "").unwrap();

    let is = |line: &Vec<u8>, content: &str| LogLine::parse(line).unwrap().content == content.as_bytes();
    eventually("it is written again", || read().iter().any(|line| is(line, "afterwards")).then_some(()));
    let log = read();
    let log: Vec<_> = log.iter().map(|line| LogLine::parse(line).expect("no line is spoilt")).collect();
    let numbers = log.iter().take_while(|line| line.stream == Stream::Stdout).count();
    assert!((1..60_000).contains(&numbers), "{numbers}");
    let message = String::from_utf8(log[numbers].content.to_vec()).unwrap();
    assert_eq!(log[numbers].stream, Stream::Stderr);
    assert!(message.ends_with("bytes of the log could not be written and are lost"), "{message}");
    assert!(held.record_in(&inside).process.unwrap().is_alive());
}

#[test]
fn a_log_goes_on_over_several_runs() {
    let mut held = Held::nothing();
    for run in ["one", "two"] {
        held.start(&launch(&["echo", run]));
        held.end();
    }
    assert_eq!(held.printed(Stream::Stdout), "one\ntwo\n");
}
