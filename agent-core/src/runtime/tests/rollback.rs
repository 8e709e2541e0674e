//! Going back from a document that was not ready in time, with nobody to ask.

use super::*;

const DRIFT_INTERVAL: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A device that converged with generation 1, and on which generation 2 fails, which has ten minutes.
async fn in_trial() -> Bench {
    in_trial_by(&SteppedClock::default()).await
}

async fn in_trial_by(clock: &SteppedClock) -> Bench {
    let (fake, folder) = (FakeReconciler::default(), tempfile::tempdir().unwrap());
    let mut bench = Bench::start_with_clock(fake, folder, DRIFT_INTERVAL, clock);
    bench.standing.send_replace(WriterStanding { epoch: 1, ..WriterStanding::default() });
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    bench.take_done();
    bench.fake.disk().broken.insert("File:/b".into());
    bench.entry(2, json!({"/a": "1", "/b": "1", "deadline": 600}));
    bench.reported(|status| status.summary.failed == 1).await;
    bench
}

fn generation_in_force(status: &AgentStatus) -> Option<u64> {
    status.accepted.as_ref().map(|accepted| accepted.generation.get())
}

#[tokio::test(start_paused = true)]
async fn the_old_document_is_back_when_the_time_is_up_and_everybody_is_told() {
    let mut bench = in_trial().await;
    let begun = Instant::now();
    let status = bench.reported(|status| status.rolled_back.is_some()).await;
    assert_eq!(begun.elapsed().as_secs(), 600);
    assert_eq!((status.phase, generation_in_force(&status)), (Phase::RolledBack, Some(1)));
    let beat = bench.heartbeats.borrow().clone().unwrap();
    assert_eq!((beat.phase, beat.accepted_generation.map(|it| it.get())), (Phase::RolledBack, Some(1)));
    assert_eq!(*bench.phase.borrow(), Some(Phase::RolledBack));
    assert_eq!(bench.take_done(), Vec::<String>::new(), "what both declare is not touched");

    sleep(HOUR).await;
    bench.entry(3, json!({"/a": "3"}));
    let status = bench.applied(3).await;
    assert_eq!((status.phase, &status.rolled_back), (Phase::Converged, &None));
}

#[tokio::test(start_paused = true)]
async fn a_step_or_a_look_that_never_ends_holds_the_old_document_up_no_longer_than_a_moment() {
    for place in ["apply File:/c", "observe File:/c"] {
        let mut bench = in_trial().await;
        bench.fake.disk().crashes.insert(place.into());
        bench.fake.disk().broken.insert("File:/c".into());
        let looks = place.starts_with("observe");
        if looks {
            // Only once it is in force does its time count.
            bench.fake.disk().crashes.clear();
        }
        bench.entry(3, json!({"/a": "1", "/b": "1", "/c": "1", "deadline": 600}));
        bench.reported(|status| generation_in_force(status) == Some(3)).await;
        let begun = Instant::now();
        bench.fake.disk().crashes.insert(place.into());
        sleep(MINUTE).await;
        // Whatever hangs goes on hanging.
        bench.fake.disk().crashes.clear();
        let status = bench.reported(|status| status.rolled_back.is_some()).await;
        assert!((600..=611).contains(&begun.elapsed().as_secs()), "{place}: {:?}", begun.elapsed());
        assert_eq!((status.phase, generation_in_force(&status)), (Phase::RolledBack, Some(1)));
        assert!(!is_in_safe_mode(&bench), "nothing has crashed");
        let log = std::fs::read_to_string(bench.folder.path().join("audit.jsonl")).unwrap();
        let interrupted = log.lines().filter(|line| line.contains("\"Interrupted\"")).count();
        assert_eq!(interrupted, usize::from(!looks), "{log}");
        // Nothing keeps a newer one from coming.
        bench.entry(4, json!({"/a": "4"}));
        bench.applied(4).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_anew_from_the_end_of_a_pause() {
    let mut bench = in_trial().await;
    sleep(9 * MINUTE).await;
    let pause = Pause { begun: None, until: None };
    bench.pause.send_replace(Some(pause));
    sleep(HOUR).await;
    assert_eq!(generation_in_force(bench.reports.borrow().as_ref().unwrap()), Some(2));
    bench.pause.send_replace(None);
    let begun = Instant::now();
    bench.reported(|status| status.rolled_back.is_some()).await;
    assert_eq!(begun.elapsed().as_secs(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_neither_stops_the_time_nor_brings_the_late_document_back() {
    let clock = SteppedClock::default();
    let restart = |bench: Bench| {
        bench.task.abort();
        Bench::start_with_clock(bench.fake, bench.folder, DRIFT_INTERVAL, &clock)
    };
    let bench = in_trial_by(&clock).await;
    sleep(4 * MINUTE).await;
    let mut bench = restart(bench);
    let begun = Instant::now();
    let entry = json!({"/a": "1", "/b": "1", "deadline": 600});
    bench.entry(2, entry.clone());
    bench.reported(|status| status.rolled_back.is_some()).await;
    assert!(begun.elapsed() <= 6 * MINUTE, "{:?}", begun.elapsed());
    let mut bench = restart(bench);
    bench.entry(2, entry);
    let status = bench.reported(|status| status.phase == Phase::RolledBack).await;
    assert_eq!(generation_in_force(&status), Some(1));
    sleep(HOUR).await;
    assert_eq!(bench.take_done(), Vec::<String>::new());
}
