mod unsent;

use std::{fs, path::PathBuf};

use agent_model::Timestamp;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{executor::StepEffect, state_dir::StateLayout};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn begun(step: &str) -> Draft {
    Draft::new(NOW, Happening::Begun { step: step.into() })
}

fn done(begun: u64) -> Draft {
    let (step, effect) = ("write".into(), StepEffect::Changed);
    Draft::new(NOW, Happening::Done { step, begun, duration_ms: 1, effect })
}

/// A folder with a log, and what the ledger would know of it.
struct Bench {
    folder: TempDir,
    known: Head,
    /// When a file is full.
    full: u64,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), known: Head::default(), full: u64::MAX }
    }

    /// A log of so many lines: a step announced, done, announced …
    fn with_lines(lines: u64) -> Self {
        let mut bench = Self::new();
        let log = bench.open();
        bench.write(&log, lines);
        bench
    }

    fn layout(&self) -> StateLayout {
        StateLayout::of(self.folder.path())
    }

    fn open(&self) -> AuditLog {
        AuditLog::open_with(&self.layout(), self.known, NOW, self.full)
    }

    fn write(&mut self, log: &AuditLog, lines: u64) {
        for _ in 0..lines {
            let seq = log.head().seq + 1;
            log.note(if seq % 2 == 1 { begun("write") } else { done(seq - 1) });
            log.write().unwrap();
        }
        self.commit(log);
    }

    /// As the ledger would.
    fn commit(&mut self, log: &AuditLog) {
        log.sync().unwrap();
        log.announce();
        self.known = log.head();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.path("audit.jsonl")).unwrap().lines().map(str::to_owned).collect()
    }

    fn set_lines(&self, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.path("audit.jsonl"), text).unwrap();
    }

    fn verify(&self) -> Verification {
        verify(&self.layout(), self.known).unwrap()
    }

    fn records(&self) -> Vec<AuditRecord> {
        self.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names of the files, without the cursor and the like.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_line_is_written_as_the_wire_contract_says() {
    let bench = Bench::with_lines(2);
    let lines = bench.lines();
    assert_eq!(
        lines[0],
        r#"{"v":1,"seq":1,"time":"1970-01-01T00:00:00Z","prev":null,"generation":null,"document":null,"signer":null,"resource":null,"outcome":"Begun","step":"write"}"#
    );
    let prev = Digest::of_bytes(lines[0].as_bytes());
    assert_eq!(
        lines[1],
        format!(
            r#"{{"v":1,"seq":2,"time":"1970-01-01T00:00:00Z","prev":"{prev}","generation":null,"document":null,"signer":null,"resource":null,"outcome":"Done","step":"write","begun":1,"durationMs":1,"effect":"Changed"}}"#
        )
    );
    let found = bench.verify();
    assert_eq!((found.problems, found.records, found.newest), (vec![], 2, Some(2)));
}

#[test]
fn the_log_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::with_lines(1);
    let mode = fs::metadata(bench.path("audit.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_whole_file_that_is_removed_is_found_wherever_it_was() {
    let mut bench = Bench { full: 600, ..Bench::new() };
    let log = bench.open();
    bench.write(&log, 12);
    let full: Vec<String> = bench
        .files()
        .into_iter()
        .filter(|name| name.starts_with("audit.") && name != "audit.jsonl")
        .collect();
    assert!((2..7).contains(&full.len()), "{full:?}");
    assert_eq!(bench.verify().problems, []);
    for name in full {
        let (path, away) = (bench.path(&name), bench.path("away"));
        fs::rename(&path, &away).unwrap();
        assert!(!bench.verify().problems.is_empty(), "{name} is not missed");
        fs::rename(&away, &path).unwrap();
    }
}

#[test]
fn nobody_is_led_elsewhere_or_kept_waiting_by_what_lies_in_the_place_of_the_log() {
    let bench = Bench::new();
    let (log, elsewhere) = (bench.path("audit.jsonl"), bench.path("elsewhere"));
    let pipe = || {
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &log, fifo, 0o600.into(), 0).unwrap();
    };
    let link = || std::os::unix::fs::symlink(&elsewhere, &log).unwrap();
    let second_name = || {
        fs::write(&elsewhere, "theirs").unwrap();
        fs::hard_link(&elsewhere, &log).unwrap();
    };
    let folder = || fs::create_dir(&log).unwrap();
    let places: [&dyn Fn(); 4] = [&pipe, &link, &second_name, &folder];
    for (place, make) in places.iter().enumerate() {
        make();
        let written = bench.open();
        written.note(begun("write"));
        assert!(written.write().is_err(), "place {place}");
        if place == 2 {
            assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "theirs");
            fs::remove_file(&elsewhere).unwrap();
        } else {
            assert!(verify(&bench.layout(), Head::default()).is_err(), "place {place}");
        }
        assert!(!elsewhere.exists(), "place {place}");
        if place == 3 { fs::remove_dir(&log).unwrap() } else { fs::remove_file(&log).unwrap() }
    }
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let written = bench.open();
    written.note(begun("write"));
    written.write().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&log).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o600, "one that others could read");
}

#[test]
fn whatever_is_altered_is_found_with_its_place() {
    type Tamper = fn(&mut Vec<String>);
    let tampers: [(&str, Tamper, Option<u64>); 10] = [
        ("removed", |lines| drop(lines.remove(3)), Some(4)),
        ("the first removed", |lines| drop(lines.remove(0)), Some(1)),
        ("the first ones removed", |lines| drop(lines.drain(..5)), Some(1)),
        ("changed", |lines| lines[3] = lines[3].replace("write", "wrote"), Some(5)),
        ("reordered", |lines| lines.swap(3, 4), Some(4)),
        ("inserted", |lines| lines.insert(3, lines[1].clone()), Some(4)),
        ("no line", |lines| lines[3] = "x".into(), Some(4)),
        ("the last changed", |lines| lines[7] = lines[7].replace("write", "wrote"), Some(8)),
        ("the last removed", |lines| drop(lines.pop()), None),
        ("all removed", Vec::clear, None),
    ];
    for (what, tamper, line) in tampers {
        let bench = Bench::with_lines(8);
        let mut lines = bench.lines();
        tamper(&mut lines);
        bench.set_lines(&lines);
        let found = bench.verify();
        let first = found.problems.first().unwrap_or_else(|| panic!("{what} goes unnoticed"));
        assert_eq!((first.file.as_str(), first.line), ("audit.jsonl", line), "{what}: {first}");
    }
}

#[test]
fn a_line_cut_in_half_is_found_and_one_that_is_being_written_is_none() {
    let bench = Bench::with_lines(4);
    let text = fs::read(bench.path("audit.jsonl")).unwrap();
    fs::write(bench.path("audit.jsonl"), &text[..text.len() - 7]).unwrap();
    assert_eq!(bench.verify().problems.len(), 2, "the line, and that the ledger knows of it");
    fs::write(bench.path("audit.jsonl"), [&text[..], &text[..20]].concat()).unwrap();
    let found = bench.verify();
    assert_eq!((found.problems, found.notes.len()), (vec![], 1));
}

#[test]
fn after_a_restart_the_chain_goes_on() {
    let mut bench = Bench::with_lines(4);
    let log = bench.open();
    bench.write(&log, 2);
    assert_eq!((bench.verify().problems, bench.known.seq, bench.lines().len()), (vec![], 6, 6));
}

#[test]
fn what_the_power_cut_left_unended_is_told_as_interrupted_once() {
    let mut bench = Bench::with_lines(3);
    for _ in 0..2 {
        let log = bench.open();
        bench.write(&log, 0);
        log.write().unwrap();
        bench.commit(&log);
        let ends: Vec<_> = bench.records().iter().filter_map(|record| record.happening.begun()).collect();
        assert_eq!(ends, [1, 3]);
        assert!(matches!(bench.records()[3].happening, Happening::Interrupted { begun: 3, .. }));
    }
    assert_eq!(bench.verify().problems, []);
}

#[test]
fn half_a_line_that_the_power_cut_left_is_dropped() {
    let mut bench = Bench::with_lines(4);
    let mut text = fs::read(bench.path("audit.jsonl")).unwrap();
    text.extend(b"{\"v\":1,\"se");
    fs::write(bench.path("audit.jsonl"), text).unwrap();
    let log = bench.open();
    bench.write(&log, 1);
    assert_eq!((bench.verify().problems, bench.known.seq), (vec![], 5));
}

#[test]
fn a_damaged_log_is_set_aside_and_goes_on_with_the_next_number() {
    type Damage = fn(&Bench);
    let damages: [(&str, Damage, bool); 4] = [
        ("changed", |bench| bench.set_lines(&["x".into()]), true),
        ("cut off", |bench| bench.set_lines(&bench.lines()[..2]), true),
        (
            "last changed",
            |bench| {
                let mut lines = bench.lines();
                lines[3] = lines[3].replace("write", "wrote");
                bench.set_lines(&lines);
            },
            true,
        ),
        ("missing", |bench| fs::remove_file(bench.path("audit.jsonl")).unwrap(), false),
    ];
    for (what, damage, kept) in damages {
        let mut bench = Bench::with_lines(4);
        damage(&bench);
        let log = bench.open();
        bench.write(&log, 1);
        let records = bench.records();
        assert!(matches!(records[0].happening, Happening::LogRecovered { .. }), "{what}: {records:?}");
        assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [5, 6], "{what}");
        let found = bench.verify();
        assert_eq!((found.problems, found.notes.len()), (vec![], 1), "{what}");
        assert_eq!(bench.files().contains(&"audit.damaged-1.jsonl".to_owned()), kept, "{what}");
    }
}

#[test]
fn only_so_many_damaged_files_are_kept() {
    let mut bench = Bench::new();
    for _ in 0..12 {
        fs::write(bench.path("audit.jsonl"), "x\n").unwrap();
        let log = bench.open();
        bench.write(&log, 1);
    }
    assert_eq!(bench.files().iter().filter(|name| name.contains("damaged")).count(), 8);
}

#[test]
fn an_agent_that_only_counted_is_followed_by_a_log_with_the_next_number() {
    let mut bench = Bench::new();
    bench.known = Head { seq: 41, hash: None };
    let log = bench.open();
    bench.write(&log, 1);
    assert_eq!(bench.records()[0].seq, 42);
    assert_eq!((bench.verify().problems, bench.verify().notes), (vec![], vec![]));
}

#[test]
fn an_agent_that_counted_on_without_the_log_is_followed_by_a_log_that_says_so() {
    let mut bench = Bench::with_lines(4);
    for (counted, first) in [(4, 5), (6, 8)] {
        bench.known = Head { seq: counted, hash: None };
        let log = bench.open();
        bench.write(&log, 1);
        assert_eq!((bench.known.seq, bench.verify().problems), (first, vec![]));
    }
}

#[test]
fn with_the_ledger_lost_the_log_goes_on_all_the_same() {
    let mut bench = Bench::with_lines(4);
    bench.known = Head::default();
    let log = bench.open();
    bench.write(&log, 1);
    assert_eq!((bench.known.seq, bench.verify().problems), (5, vec![]));
}

#[test]
fn a_batch_that_is_taken_back_leaves_nothing_behind() {
    let mut bench = Bench::with_lines(2);
    let log = bench.open();
    assert_eq!(log.begin(vec![begun("one"), begun("two")]), Ok(3));
    log.sync().unwrap();
    log.take_back();
    assert_eq!((bench.lines().len(), log.head()), (2, bench.known));
    assert_eq!(log.begin(vec![begun("other")]), Ok(3));
    bench.commit(&log);
    log.take_back();
    assert_eq!((bench.verify().problems, bench.lines().len()), (vec![], 3), "what is known stays");
}

#[test]
fn nobody_hears_of_a_line_before_it_is_durable_and_known() {
    let bench = Bench::new();
    let log = bench.open();
    let durable = log.durable();
    log.begin(vec![begun("one")]).unwrap();
    log.sync().unwrap();
    assert_eq!(*durable.borrow(), 0);
    log.announce();
    assert_eq!(*durable.borrow(), 1);
}

#[test]
fn a_refusal_is_told_once_also_over_a_restart_and_again_after_something_else() {
    let mut bench = Bench::new();
    let refused = |revision| Draft::new(NOW, Happening::rejected(revision, "Invalid", "no"));
    for expected in [1, 1] {
        let log = bench.open();
        log.note(refused(7));
        log.note(refused(7));
        log.write().unwrap();
        bench.commit(&log);
        assert_eq!(log.head().seq, expected);
    }
    let log = bench.open();
    for draft in [refused(8), Draft::new(NOW, Happening::Accepted), refused(8)] {
        log.note(draft);
    }
    log.write().unwrap();
    bench.commit(&log);
    assert_eq!(log.head().seq, 4);
}

#[test]
fn a_disk_that_does_not_serve_keeps_lines_waiting_and_announces_nothing() {
    let mut bench = Bench::new();
    // A folder in the place of the file makes every write fail, for root too.
    fs::create_dir_all(bench.path("audit.jsonl/x")).unwrap();
    let log = bench.open();
    log.note(Draft::new(NOW, Happening::Accepted));
    assert!(log.write().is_err());
    assert!(log.begin(vec![begun("never")]).is_err());
    fs::remove_dir_all(bench.path("audit.jsonl")).unwrap();
    log.write().unwrap();
    bench.commit(&log);
    assert_eq!(bench.records().len(), 1);
    assert_eq!(bench.records()[0].happening, Happening::Accepted);
}

#[test]
fn full_files_are_kept_up_to_a_bound_and_the_chain_goes_on_across_them() {
    let mut bench = Bench { full: 1000, ..Bench::new() };
    let log = bench.open();
    bench.write(&log, 100);
    let found = bench.verify();
    assert_eq!((found.problems, bench.files().len(), found.newest), (vec![], 8, Some(100)));
    let oldest = found.oldest.unwrap();
    assert!(oldest > 1 && bench.files().contains(&format!("audit.{oldest}.jsonl")));

    // Also when the power is cut between giving the full one its name and beginning the next.
    let first = bench.records()[0].seq;
    fs::rename(bench.path("audit.jsonl"), bench.path(&format!("audit.{first}.jsonl"))).unwrap();
    let log = bench.open();
    bench.write(&log, 30);
    assert_eq!(bench.verify().problems, []);

    // A file in the middle that is gone, or is not what its name says, is found.
    let second = bench.files()[2].clone();
    fs::rename(bench.path(&second), bench.path("elsewhere")).unwrap();
    assert!(!bench.verify().problems.is_empty());
    fs::rename(bench.path("elsewhere"), bench.path(&second)).unwrap();
    assert_eq!(bench.verify().problems, []);
}

#[test]
fn a_text_of_any_length_makes_a_line_of_bounded_length() {
    let happening = Happening::rejected(1, "Invalid", &"\u{1}".repeat(100_000));
    let (line, _) = Draft::new(NOW, happening).line_after(Head::default()).unwrap();
    assert!(line.len() < 8 * 1024, "{}", line.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_byte_that_is_altered_is_found(place in 0.0_f64..1.0, other: u8) {
        let bench = Bench::with_lines(12);
        let mut text = fs::read(bench.path("audit.jsonl")).unwrap();
        let place = ((text.len() - 1) as f64 * place) as usize;
        prop_assume!(text[place] != other);
        text[place] = other;
        fs::write(bench.path("audit.jsonl"), text).unwrap();
        prop_assert!(!bench.verify().problems.is_empty());
    }

    #[test]
    fn wherever_the_power_is_cut_no_number_is_used_twice_and_the_chain_holds(
        cut in 0.0_f64..1.0,
        lines in 1_u64..20,
        more in 1_u64..5,
    ) {
        // The ledger knows of the first lines, and of those after it any part may be on the disk.
        let mut bench = Bench { full: 1000, ..Bench::new() };
        let log = bench.open();
        bench.write(&log, 3);
        let (known, durable) = (bench.known, fs::read(bench.path("audit.jsonl")).unwrap().len());
        bench.full = u64::MAX;
        let log = bench.open();
        bench.write(&log, lines);
        let text = fs::read(bench.path("audit.jsonl")).unwrap();
        let len = durable + ((text.len() - durable) as f64 * cut) as usize;
        fs::write(bench.path("audit.jsonl"), &text[..len]).unwrap();
        bench.known = known;
        let log = bench.open();
        bench.write(&log, more);
        let found = bench.verify();
        prop_assert_eq!((&found.problems, &found.notes), (&vec![], &vec![]));
        prop_assert_eq!(found.records, found.newest.unwrap());
    }
}
