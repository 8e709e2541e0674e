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
