//! An agent that crashes with a document, again and again.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::*;

impl Bench {
    /// A start of the agent, as far as it comes: its first pass, then the newest entry. Says whether it
    /// crashed.
    async fn start(&mut self, entry: &DesiredValue) -> bool {
        self.restart(Formats::none().with(FakeFormat));
        self.device.guard_against_crashes(&StateLayout::of(self.folder.path()));
        !self.survives_a_pass().await
            || self.device.take_entry(entry.clone()) && !self.survives_a_pass().await
    }

    /// Whether the agent comes through the next pass. Where it crashes, nothing is done any more.
    async fn survives_a_pass(&mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(3600), self.device.pass(|| false, |_| ())).await.is_ok()
    }

    /// So many starts, each of which crashes.
    async fn crash(&mut self, times: usize, entry: &DesiredValue) {
        for n in 0..times {
            assert!(self.start(entry).await, "start {n} did not crash");
            assert_eq!(self.device.safe_mode(), None);
        }
    }

    /// Has the agent crash whenever it comes to this place, `observe File:/a` or `apply File:/a`, and
    /// nowhere else.
    fn crash_at(&self, place: &str) {
        self.fake.disk().crashes = [place.to_owned()].into();
    }

    fn no_crash(&self) {
        self.fake.disk().crashes.clear();
    }
}

/// A device whose agent has put `{"/a": "1"}` in force and then crashed with generation 2 at this place
/// until it stopped; its newest entry is that document.
async fn in_safe_mode(place: &str) -> Bench {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    bench.take_done();
    bench.crash_at(place);
    let bad = document(2, json!({"/a": "2", "/bad": "2"}));
    bench.crash(5, &bad).await;
    bench.take_done();
    assert!(!bench.start(&bad).await, "it did not stop");
    bench
}

/// What crashes before the document is in force, and what after that.
const PLACES: [(&str, u64); 2] = [("observe File:/bad", 1), ("apply File:/bad", 2)];

#[tokio::test(start_paused = true)]
async fn after_five_crashes_with_one_document_nothing_is_looked_at_or_touched_any_more_over_restarts_too() {
    for (place, in_force) in PLACES {
        let mut bench = in_safe_mode(place).await;
        bench.fake.disk().contents.insert("File:/a".parse().unwrap(), "by hand".into());
        bench.crash_at("observe File:/a");
        let bad = document(2, json!({"/a": "2", "/bad": "2"}));
        for _ in 0..3 {
            let status = bench.pass().await;
            assert_eq!((status.phase, accepted(&status)), (Phase::Degraded, Some(in_force)), "{place}");
            assert_eq!(condition(&status, ConditionType::Converged), (ConditionStatus::False, "Failing"));
            let safe_mode = status.condition(ConditionType::SafeMode).unwrap();
            assert_eq!(
                (safe_mode.status, safe_mode.reason.as_str()),
                (ConditionStatus::True, "RepeatedCrashes")
            );
            assert_eq!(safe_mode.observed_generation.map(Generation::get), Some(2));
            for part in ["5 times", "generation 2", "another document", "`harmony-agent resume`"] {
                assert!(safe_mode.message.contains(part), "{part} is missing: {}", safe_mode.message);
            }
            let judged = match in_force {
                1 => (ConditionStatus::Unknown, "SafeMode"),
                _ => (ConditionStatus::True, "Accepted"),
            };
            assert_eq!(condition(&status, ConditionType::Accepted), judged, "{place}");
            for held in &status.resources {
                assert_eq!((held.state, held.reason.as_str()), (ResourceState::Pending, "SafeMode"));
            }
            assert_eq!(status.resources[0].name, "a");
            assert_eq!(bench.device.due(), None);
            assert!(!bench.start(&bad).await);
        }
        assert_eq!(bench.take_done(), Vec::<String>::new(), "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_document_that_may_be_put_in_force_ends_safe_mode_and_no_other_does() {
    for (place, _) in PLACES {
        let mut bench = in_safe_mode(place).await;
        for refused in [document(1, json!({})), document(3, json!([])), document(3, json!({"/own/x": ""}))] {
            assert!(!bench.device.take_entry(refused));
            let status = bench.pass().await;
            assert_eq!(condition(&status, ConditionType::SafeMode).0, ConditionStatus::True, "{place}");
            assert_eq!(condition(&status, ConditionType::Accepted).0, ConditionStatus::False, "{place}");
        }
        bench.device.take_entry(DesiredValue::None);
        bench.pass().await;
        assert_eq!(bench.take_done(), Vec::<String>::new());
        let status = bench.take(3, json!({"/a": "3"})).await;
        assert_eq!((status.phase, applied(&status)), (Phase::Converged, Some(3)), "{place}");
        assert_eq!(condition(&status, ConditionType::SafeMode), (ConditionStatus::False, "NotNeeded"));
        assert!(!bench.start(&document(3, json!({"/a": "3"}))).await);
        assert_eq!(bench.device.safe_mode(), None, "it is ended for good");
    }
}

#[tokio::test(start_paused = true)]
async fn going_back_to_the_document_in_force_ends_safe_mode_and_what_was_altered_meanwhile_is_repaired() {
    let mut bench = in_safe_mode("observe File:/bad").await;
    bench.fake.disk().contents.clear();
    bench.pass().await;
    assert!(bench.device.take_entry(document(1, json!({"/a": "1"}))), "a pass is due");
    let status = bench.pass().await;
    assert_eq!((status.phase, status.resources[0].drift_corrections), (Phase::Converged, 1));
}

#[tokio::test(start_paused = true)]
async fn a_correction_that_crashes_too_brings_the_document_before_it_not_back() {
    let mut bench = in_safe_mode("apply File:/bad").await;
    let correction = document(3, json!({"/worse": "3"}));
    bench.fake.disk().crashes.insert("observe File:/worse".into());
    for _ in 0..5 {
        assert!(bench.start(&correction).await);
    }
    assert!(!bench.start(&correction).await);
    assert_eq!(bench.device.safe_mode().unwrap().generation.get(), 3);
    bench.device.take_entry(document(4, json!([])));
    assert!(bench.survives_a_pass().await);
    assert_eq!(bench.take_done(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_correction_that_crashes_before_it_is_in_force_leaves_the_document_before_both_in_force() {
    let mut bench = in_safe_mode("observe File:/bad").await;
    bench.crash_at("observe File:/worse");
    bench.fake.disk().contents.clear();
    let correction = document(3, json!({"/worse": "3"}));
    assert!(bench.device.take_entry(correction.clone()));
    assert!(!bench.survives_a_pass().await);
    bench.crash(4, &correction).await;
    assert_eq!(bench.take_done(), ["+File:/a"], "what is in force is repaired meanwhile");
}

#[tokio::test(start_paused = true)]
async fn safe_mode_that_is_ended_on_the_device_tries_the_same_document_again() {
    for (place, _) in PLACES {
        let mut bench = in_safe_mode(place).await;
        bench.no_crash();
        assert!(bench.device.end_safe_mode());
        let status = bench.pass().await;
        assert_eq!((status.phase, applied(&status)), (Phase::Converged, Some(2)), "{place}");
        assert!(!bench.device.end_safe_mode());
    }
}

#[tokio::test(start_paused = true)]
async fn one_pass_that_finishes_resets_the_count() {
    for (place, _) in PLACES {
        let mut bench = Bench::new();
        bench.take(1, json!({"/a": "1"})).await;
        let document = document(2, json!({"/a": "2", "/bad": "2"}));
        for _ in 0..3 {
            bench.crash_at(place);
            bench.crash(4, &document).await;
            bench.no_crash();
            assert!(!bench.start(&document).await);
            assert_eq!(bench.device.report().phase, Phase::Converged, "{place}");
            bench.fake.disk().contents.clear();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_very_first_document_may_crash_the_agent_and_a_better_one_is_taken() {
    for place in ["observe File:/bad", "apply File:/bad"] {
        let mut bench = Bench::new();
        bench.crash_at(place);
        let bad = document(1, json!({"/bad": "1"}));
        bench.crash(5, &bad).await;
        assert!(!bench.start(&bad).await);
        let status = bench.pass().await;
        assert_eq!(condition(&status, ConditionType::SafeMode).0, ConditionStatus::True);
        let status = bench.take(2, json!({"/a": "2"})).await;
        assert_eq!((status.phase, applied(&status)), (Phase::Converged, Some(2)), "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_ends_early_or_is_dropped_on_purpose_is_no_crash() {
    let mut bench = Bench::new();
    let layout = StateLayout::of(bench.folder.path());
    bench.crash_at("apply File:/b");
    for n in 0..20 {
        bench.restart(Formats::none().with(FakeFormat));
        bench.device.guard_against_crashes(&layout);
        bench.device.take_entry(document(1, json!({"/a": "1", "/b": "1"})));
        if n % 2 == 0 {
            bench.device.pass(|| true, |_| ()).await;
        } else {
            assert!(!bench.survives_a_pass().await);
            bench.device.pass_was_dropped();
        }
        assert_eq!(bench.device.safe_mode(), None);
        assert!(!layout.unfinished().exists());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_ends_early_does_not_reset_the_count_either() {
    let mut bench = Bench::new();
    bench.crash_at("apply File:/bad");
    let bad = document(1, json!({"/bad": "1"}));
    bench.crash(4, &bad).await;
    bench.restart(Formats::none().with(FakeFormat));
    bench.device.guard_against_crashes(&StateLayout::of(bench.folder.path()));
    bench.device.pass(|| true, |_| ()).await;
    assert!(!bench.survives_a_pass().await);
    assert!(!bench.start(&bad).await);
    assert!(bench.device.safe_mode().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_ends_after_it_refused_a_document_has_not_crashed_with_it() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        assert!(!bench.start(&document(1, json!([]))).await);
    }
    assert_eq!(bench.device.safe_mode(), None);
    assert!(!StateLayout::of(bench.folder.path()).unfinished().exists());
}

#[tokio::test(start_paused = true)]
async fn a_pause_and_safe_mode_may_both_hold_and_a_paused_pass_resets_nothing() {
    let mut bench = Bench::new();
    let document = document(1, json!({"/bad": "1"}));
    bench.crash_at("apply File:/bad");
    bench.crash(4, &document).await;
    let layout = StateLayout::of(bench.folder.path());
    let pause = Pause { begun: None, until: None };
    bench.restart(Formats::none().with(FakeFormat));
    bench.device.guard_against_crashes(&layout);
    bench.device.set_pause(Some(pause));
    assert!(bench.survives_a_pass().await, "nothing is applied in a pause");
    bench.device.set_pause(None);
    assert!(!bench.survives_a_pass().await);

    assert!(!bench.start(&document).await);
    bench.device.set_pause(Some(pause));
    let status = bench.pass().await;
    for condition_type in [ConditionType::Paused, ConditionType::SafeMode] {
        assert_eq!(condition(&status, condition_type).0, ConditionStatus::True);
    }
    bench.no_crash();
    bench.device.end_safe_mode();
    let status = bench.pass().await;
    assert_eq!((status.resources[0].reason.as_str(), bench.take_done()), ("Paused", vec![]));
    bench.device.set_pause(None);
    assert_eq!(bench.pass().await.phase, Phase::Converged);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_counts_no_crashes_heeds_none() {
    let mut bench = in_safe_mode("apply File:/bad").await;
    bench.no_crash();
    // As `harmony-agent once` does.
    bench.restart(Formats::none().with(FakeFormat));
    assert_eq!((bench.device.safe_mode(), bench.pass().await.phase), (None, Phase::Converged));
}

/// A format that crashes on what it reads, unless the document is an empty one.
struct CrashingFormat;

impl ManifestFormat for CrashingFormat {
    fn kind(&self) -> &'static str {
        FakeFormat.kind()
    }

    fn schema_versions(&self) -> Vec<Version> {
        FakeFormat.schema_versions()
    }

    fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
        assert_eq!(document.spec, &json!({}));
        FakeFormat.lower(document)
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_that_cannot_even_be_read_without_a_crash_is_left_alone_and_a_better_one_is_taken() {
    for is_in_force in [true, false] {
        let mut bench = Bench::new();
        if is_in_force {
            bench.take(1, json!({"/a": "1"})).await;
        }
        let layout = StateLayout::of(bench.folder.path());
        for n in 0..8 {
            // As after an upgrade to an agent with this defect.
            bench.restart(Formats::none().with(CrashingFormat));
            bench.device.guard_against_crashes(&layout);
            let came_through = AssertUnwindSafe(async {
                bench.device.pass(|| false, |_| ()).await;
                bench.device.take_entry(document(1, json!({"/a": "1"})));
            });
            let crashed = came_through.catch_unwind().await.is_err();
            assert_eq!(crashed, n < 5, "start {n}");
        }
        assert!(bench.device.safe_mode().is_some());
        let status = bench.take(2, json!({})).await;
        assert_eq!((status.phase, applied(&status)), (Phase::Converged, Some(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn safe_mode_is_written_down_once_however_often_the_agent_is_started_in_it() {
    let mut bench = in_safe_mode("apply File:/bad").await;
    let bad = document(2, json!({"/a": "2", "/bad": "2"}));
    for _ in 0..3 {
        bench.start(&bad).await;
    }
    let log = fs::read_to_string(bench.folder.path().join("audit.jsonl")).unwrap();
    assert_eq!(log.matches("\"SafeMode\"").count(), 1, "{log}");
}
