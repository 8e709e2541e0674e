use std::{fs, time::Duration};

use agent_model::{Digest, Generation, Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    unfinished::{MAX_PASSES, STARTS, WITHIN},
    *,
};

fn document(number: u64) -> DocumentId {
    let generation = Generation::try_from(number).unwrap();
    DocumentId { generation, digest: Digest::of_bytes(&number.to_be_bytes()) }
}

fn at(seconds: u64) -> Timestamp {
    // Some time into an age, so that a clock can also be set back.
    Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(1_000_000 + seconds))
}

/// A state folder and the agents that start on it.
struct Bench {
    folder: TempDir,
    layout: StateLayout,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = StateLayout::of(folder.path());
        Self { folder, layout }
    }

    fn start(&self, seconds: u64) -> FirstPasses {
        FirstPasses::at_start(self.layout.clone(), &[], None, at(seconds))
    }

    /// A start at each of these times, which crashes with that document.
    fn crash(&self, number: u64, seconds: impl IntoIterator<Item = u64>) {
        for seconds in seconds {
            let mut passes = self.start(seconds);
            assert_eq!(passes.safe_mode(), None, "after {seconds} s");
            passes.begin(document(number), Reach::Acting);
        }
    }

    fn has_file(&self) -> bool {
        self.layout.unfinished().exists()
    }
}

#[test]
fn the_fifth_start_that_finds_the_same_document_unfinished_leaves_it_alone_and_so_do_all_after_it() {
    let bench = Bench::new();
    bench.crash(1, [0, 1, 2, 3, 4]);
    for seconds in [5, 100_000] {
        let passes = bench.start(seconds);
        let safe_mode = passes.safe_mode().expect("it crashed often enough");
        assert_eq!((safe_mode.generation.get(), safe_mode.crashes, safe_mode.since), (1, 5, at(5)));
        assert!(passes.bars(document(1).digest) && !passes.bars(document(2).digest));
        assert_eq!(SafeMode::read(&bench.layout), Some(safe_mode));
    }
}

#[test]
fn crashes_count_for_their_document_alone() {
    let bench = Bench::new();
    for round in 0..4 {
        bench.crash(1, [2 * round]);
        bench.crash(2, [2 * round + 1]);
    }
    bench.crash(2, [8]);
    let passes = bench.start(9);
    assert!(passes.bars(document(2).digest) && !passes.bars(document(1).digest));
}

#[test]
fn a_finished_pass_resets_the_count_of_its_document_and_of_no_other() {
    let bench = Bench::new();
    bench.crash(2, [0]);
    bench.crash(1, [1, 2, 3, 4]);
    let mut passes = bench.start(5);
    passes.begin(document(2), Reach::Acting);
    passes.passed(document(2), Reach::Acting);
    passes.begin(document(1), Reach::Acting);
    passes.passed(document(1), Reach::Acting);
    assert!(!bench.has_file(), "nothing is left to be noted");
    bench.crash(1, [6, 7, 8, 9]);
    let mut passes = bench.start(10);
    passes.begin(document(2), Reach::Acting);
    passes.passed(document(2), Reach::Acting);
    passes.begin(document(1), Reach::Acting);
    assert!(bench.start(11).bars(document(1).digest));
}

#[test]
fn crashes_that_lie_further_apart_are_no_reason() {
    let bench = Bench::new();
    // The first start finds nothing yet, so that four of five lie within the ten minutes.
    bench.crash(1, [0, 1, 100, 200, 300, 602, 1000, 1500, 2000, 2500]);
    let bench = Bench::new();
    bench.crash(1, [0, 1, 100, 200, 300]);
    assert!(bench.start(1 + WITHIN.as_secs()).safe_mode().is_some(), "ten minutes count as within");
}

#[test]
fn a_clock_that_is_set_back_hides_no_crash_and_one_that_is_set_forward_begins_anew() {
    let bench = Bench::new();
    // Each boot begins at the same wrong time, until the network tells the right one.
    bench.crash(1, [9000, 0, 1, 0, 1]);
    assert!(bench.start(0).safe_mode().is_some());
    let bench = Bench::new();
    bench.crash(1, [0, 1, 2, 90_000, 90_001, 90_002, 90_003]);
    assert!(bench.start(90_004).safe_mode().is_some());
}

#[test]
fn what_is_ended_early_on_purpose_is_no_crash_and_resets_nothing() {
    let bench = Bench::new();
    bench.crash(1, [0, 1, 2, 3]);
    for seconds in 4..20 {
        let mut passes = bench.start(seconds);
        passes.begin(document(1), Reach::Acting);
        passes.leave_off();
        assert_eq!(passes.safe_mode(), None);
    }
    bench.crash(1, [20]);
    assert!(bench.start(21).safe_mode().is_some());
}

#[test]
fn an_agent_that_ends_before_it_begins_anything_is_no_crash_either() {
    let bench = Bench::new();
    bench.crash(1, [0]);
    for seconds in 1..20 {
        assert_eq!(bench.start(seconds).safe_mode(), None);
    }
}

#[test]
fn what_was_gone_through_once_is_not_noted_again_by_the_same_process() {
    let bench = Bench::new();
    let mut passes = bench.start(0);
    passes.begin(document(1), Reach::Planning);
    assert!(bench.has_file());
    passes.passed(document(1), Reach::Planning);
    for (reach, noted) in [(Reach::Planning, false), (Reach::Acting, true)] {
        passes.begin(document(1), reach);
        assert_eq!(bench.has_file(), noted, "{reach:?}");
    }
    passes.passed(document(1), Reach::Acting);
    // Whoever writes the file begins by removing this.
    let unwritten = bench.folder.path().join("unfinished.tmp");
    fs::write(&unwritten, "").unwrap();
    for reach in [Reach::Planning, Reach::Acting] {
        passes.begin(document(1), reach);
        passes.passed(document(1), reach);
    }
    assert!(unwritten.exists() && !bench.has_file());
    passes.begin(document(2), Reach::Acting);
    assert!(bench.has_file(), "another document is");
}

#[test]
fn a_pass_that_was_held_back_resets_nothing() {
    let bench = Bench::new();
    bench.crash(1, [0, 1, 2, 3]);
    let mut passes = bench.start(4);
    passes.begin(document(1), Reach::Planning);
    passes.passed(document(1), Reach::Planning);
    passes.begin(document(1), Reach::Acting);
    assert!(bench.start(5).safe_mode().is_some());
}

#[test]
fn documents_that_can_come_no_more_are_forgotten_at_the_start() {
    let bench = Bench::new();
    bench.crash(7, [0, 1, 2, 3, 4]);
    let start = |in_force: u64, highest: u64| {
        let (in_force, highest) = (document(in_force).digest, document(highest).generation);
        FirstPasses::at_start(bench.layout.clone(), &[in_force], Some(highest), at(5)).safe_mode()
    };
    assert!(start(6, 6).is_some(), "it may be put in force");
    assert!(start(7, 7).is_some(), "it is in force");
    assert!(start(8, 8).is_none() && !bench.has_file());
}

#[test]
fn somebody_may_end_safe_mode_and_what_is_merely_counted_stays() {
    let bench = Bench::new();
    bench.crash(1, [0, 1, 2, 3]);
    assert_eq!(SafeMode::end(&bench.layout).unwrap(), None);
    assert!(bench.has_file());
    bench.crash(1, [4]);
    let safe_mode = bench.start(5).safe_mode();
    assert_eq!(SafeMode::end(&bench.layout).unwrap(), safe_mode);
    assert_eq!(SafeMode::end(&bench.layout).unwrap(), None);
    bench.crash(1, [6, 7, 8, 9]);
}

#[test]
fn a_file_that_cannot_be_read_counts_as_none_and_the_next_one_takes_its_place() {
    let bench = Bench::new();
    for damaged in ["", "{", "[]", r#"{"passes": 5}"#, "\0\0\0\0"] {
        bench.crash(1, [0, 1, 2, 3]);
        fs::write(bench.layout.unfinished(), damaged).unwrap();
        assert_eq!(SafeMode::read(&bench.layout), None);
        assert_eq!(SafeMode::end(&bench.layout).unwrap(), None);
        bench.crash(1, [4, 5, 6, 7]);
        let mut passes = bench.start(8);
        passes.begin(document(1), Reach::Acting);
        passes.passed(document(1), Reach::Acting);
        assert!(!bench.has_file());
    }
}

#[test]
fn what_an_agent_of_today_has_written_every_later_one_reads() {
    let bench = Bench::new();
    let digest = "sha256:01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b";
    let time = "2026-01-31T12:00:00Z";
    let written = serde_json::json!({"passes": [
        {"document": {"generation": 7, "digest": digest}, "underWay": false, "found": [time, time, time, time, time], "safeModeSince": time},
        {"document": {"generation": 8, "digest": digest.replace('0', "1")}, "underWay": true, "found": [], "safeModeSince": null},
    ]});
    fs::write(bench.layout.unfinished(), written.to_string()).unwrap();
    let safe_mode = SafeMode::read(&bench.layout).unwrap();
    assert_eq!(
        (safe_mode.generation.get(), safe_mode.crashes, safe_mode.digest.to_string().as_str()),
        (7, 5, digest)
    );
    let read: serde_json::Value = serde_json::to_value(load(&bench.layout).unwrap()).unwrap();
    assert_eq!(read, written);
}

#[test]
fn what_cannot_be_written_is_not_counted() {
    let bench = Bench::new();
    bench.crash(1, [0, 1, 2, 3, 4]);
    // In the place of the temporary file it makes every write fail, for root too.
    let obstacle = bench.folder.path().join("unfinished.tmp");
    fs::create_dir_all(obstacle.join("x")).unwrap();
    assert_eq!(bench.start(5).safe_mode(), None);
    fs::remove_dir_all(&obstacle).unwrap();
    assert!(bench.start(6).safe_mode().is_some());
}

#[test]
fn without_a_folder_nothing_is_noted_and_nothing_barred() {
    let mut passes = FirstPasses::default();
    passes.begin(document(1), Reach::Acting);
    assert!(!passes.bars(document(1).digest) && passes.safe_mode().is_none());
}

proptest! {
    #[test]
    fn whatever_comes_the_file_stays_small_and_every_start_reads_what_was_written(
        steps in proptest::collection::vec((0..6_u8, 1..40_u64, 0..200_u64), 0..80),
    ) {
        let bench = Bench::new();
        let (mut passes, mut seconds) = (bench.start(0), 0);
        for (step, number, passed) in steps {
            seconds += passed;
            match step {
                0 => passes.leave_off(),
                1 => passes.passed(document(number), Reach::Acting),
                2 => passes.passed(document(number), Reach::Planning),
                3 | 4 => passes.begin(document(number), Reach::Acting),
                _ => {
                    passes = bench.start(seconds);
                    prop_assert_eq!(passes.safe_mode(), SafeMode::read(&bench.layout));
                }
            }
            let written = fs::metadata(bench.layout.unfinished()).map_or(0, |file| file.len());
            let most = 32 + MAX_PASSES * (256 + STARTS * 32);
            prop_assert!(written <= most as u64, "{written} bytes");
        }
    }
}
