//! The loop with channels instead of a server, and time that passes only when everyone waits.

use agent_model::{
    Timestamp,
    status::{ConditionStatus, ConditionType, Phase},
};
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{advance, timeout},
};

mod clock_steps;
mod rollback;

use super::*;
use crate::{
    dispatcher::Formats,
    fakes::{FakeFormat, FakeReconciler, SteppedClock, device, device_with, document},
    ledger::Ledger,
    policy::Policy,
    safe_mode::SafeMode,
    status::snapshot::Snapshot,
};

const HOUR: Duration = Duration::from_secs(3600);

struct Bench {
    fake: FakeReconciler,
    folder: TempDir,
    entries: watch::Sender<Option<Entry>>,
    prior: watch::Sender<Option<PriorStatus>>,
    standing: watch::Sender<WriterStanding>,
    reports: watch::Receiver<Option<Arc<AgentStatus>>>,
    heartbeats: watch::Receiver<Option<Heartbeat>>,
    phase: watch::Receiver<Option<Phase>>,
    wakes: mpsc::UnboundedSender<Claim>,
    pause: watch::Sender<Option<Pause>>,
    safe_mode: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Bench {
    fn start(drift_interval: Duration) -> Self {
        Self::start_on(FakeReconciler::default(), tempfile::tempdir().unwrap(), drift_interval)
    }

    /// The agent on the same device after a power cut.
    fn restart(self, drift_interval: Duration) -> Self {
        self.task.abort();
        Self::start_on(self.fake, self.folder, drift_interval)
    }

    fn start_on(fake: FakeReconciler, folder: TempDir, drift_interval: Duration) -> Self {
        Self::start_with_clock(fake, folder, drift_interval, &SteppedClock::default())
    }

    fn start_with_clock(
        fake: FakeReconciler,
        folder: TempDir,
        drift_interval: Duration,
        clock: &SteppedClock,
    ) -> Self {
        Self::start_with(fake, folder, drift_interval, clock, Policy::default())
    }

    fn start_with(
        fake: FakeReconciler,
        folder: TempDir,
        drift_interval: Duration,
        clock: &SteppedClock,
        rules: Policy,
    ) -> Self {
        let formats = Formats::none().with(FakeFormat);
        let mut device = device_with(&fake, &folder, formats, None, clock.clock(), rules);
        device.guard_against_crashes(&StateLayout::of(folder.path()));
        device.heed_deadlines();
        Self::run(device, fake, folder, drift_interval)
    }

    fn run(device: Device, fake: FakeReconciler, folder: TempDir, drift_interval: Duration) -> Self {
        let layout = StateLayout::of(folder.path());
        let (entries, entries_end) = watch::channel(None);
        let (prior, prior_end) = watch::channel(None);
        let (standing, standing_end) = watch::channel(WriterStanding::default());
        let (reports_end, reports) = watch::channel(None);
        let (heartbeats_end, heartbeats) = watch::channel(None);
        let (phase_end, phase) = watch::channel(None);
        let (wakes, wakes_end) = mpsc::unbounded_channel();
        let (pause, pause_end) = watch::channel(None);
        let (safe_mode, safe_mode_end) = watch::channel(SafeMode::read(&layout).is_some());
        let (stop, stop_end) = watch::channel(false);
        let channels = Channels {
            entries: entries_end,
            prior: prior_end,
            standing: standing_end,
            reports: reports_end,
            heartbeats: heartbeats_end,
            phase: phase_end,
            pause: pause_end,
            safe_mode: safe_mode_end,
        };
        let wakes_end = Box::pin(futures_util::stream::unfold(
            wakes_end,
            |mut wakes: mpsc::UnboundedReceiver<Claim>| async { Some((wakes.recv().await?, wakes)) },
        ));
        let task = tokio::spawn(run(device, layout, channels, wakes_end, drift_interval, stop_end));
        prior.send_replace(Some(PriorStatus { highest: None }));
        Self {
            fake,
            folder,
            entries,
            prior,
            standing,
            reports,
            heartbeats,
            phase,
            wakes,
            pause,
            safe_mode,
            stop,
            task,
        }
    }

    fn entry(&self, generation: u64, spec: serde_json::Value) {
        let DesiredValue::Some { revision, raw } = document(generation, spec) else { return };
        self.entries.send_replace(Some(Entry::Present { revision, value: Bytes::from(raw) }));
    }

    /// Waits for a report of which this is true; an hour of the paused clock without one is a
    /// failure.
    async fn reported(&mut self, wanted: impl Fn(&AgentStatus) -> bool) -> Arc<AgentStatus> {
        let found = self.reports.wait_for(|report| report.as_deref().is_some_and(&wanted));
        let found = timeout(HOUR, found).await.expect("no such report").unwrap().clone().unwrap();
        // Until whoever reported it waits again: the paused clock goes on when all others wait.
        sleep(Duration::from_millis(1)).await;
        found
    }

    async fn applied(&mut self, generation: u64) -> Arc<AgentStatus> {
        self.reported(|status| status.applied.as_ref().is_some_and(|it| it.generation.get() == generation))
            .await
    }

    fn take_done(&self) -> Vec<String> {
        std::mem::take(&mut self.fake.disk().done)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reported_before_the_newest_entry_is_known() {
    let mut bench = Bench::start(HOUR);
    advance(Duration::from_secs(10)).await;
    assert!(bench.reports.borrow().is_none());
    bench.entries.send_replace(Some(Entry::Absent));
    let status = bench.reported(|_| true).await;
    assert_eq!(status.phase, Phase::Unassigned);
}

#[tokio::test(start_paused = true)]
async fn what_stands_is_told_after_a_while_where_the_own_status_can_be_read_and_the_entry_cannot() {
    let mut bench = Bench::start(HOUR);
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    let mut bench = bench.restart(HOUR);
    bench.fake.disk().broken.insert("File:/a".into());
    bench.fake.disk().contents.clear();
    sleep(SILENCE - Duration::from_secs(1)).await;
    assert!(bench.reports.borrow_and_update().is_none());
    let start = Instant::now();
    let status = bench.reported(|_| true).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!((status.phase, &status.desired), (Phase::Degraded, &None));
    let accepted = status.condition(ConditionType::Accepted).unwrap();
    assert_eq!((accepted.status, accepted.reason.as_str()), (ConditionStatus::Unknown, "NotJudged"));
    bench.entry(1, json!({"/a": "1"}));
    bench.reported(|status| status.desired.is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn without_its_own_last_status_a_device_keeps_silent_however_long_it_takes() {
    let bench = Bench::start(HOUR);
    bench.prior.send_replace(None);
    sleep(HOUR * 2).await;
    assert!(bench.reports.borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_pass_reports_nothing_before_the_newest_entry_is_known_either() {
    let mut bench = Bench::start(HOUR);
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    bench.fake.disk().contents.clear();
    bench.fake.disk().slow = Duration::from_secs(5);
    let mut bench = bench.restart(HOUR);
    advance(Duration::from_secs(10)).await;
    assert!(bench.reports.borrow_and_update().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_phase_is_told_without_a_server_and_as_it_changes() {
    let mut bench = Bench::start(HOUR);
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    bench.fake.disk().contents.clear();
    bench.fake.disk().slow = Duration::from_secs(5);
    let mut bench = bench.restart(HOUR);
    for expected in [Phase::Converging, Phase::Converged] {
        timeout(HOUR, bench.phase.changed()).await.expect("another phase").unwrap();
        assert_eq!(*bench.phase.borrow_and_update(), Some(expected));
    }
    assert!(bench.reports.borrow().is_none(), "the newest entry is not known");
}

#[tokio::test(start_paused = true)]
async fn refused_documents_do_not_disturb_a_pass_and_an_acceptable_one_ends_it() {
    let mut bench = Bench::start(HOUR);
    bench.fake.disk().slow = Duration::from_secs(1);
    let spec: serde_json::Map<_, _> = (0..64).map(|i| (format!("/f{i}"), json!("1"))).collect();
    bench.entry(5, spec.into());
    for _ in 0..4 {
        sleep(Duration::from_secs(1)).await;
        bench.entry(1, json!({}));
    }
    bench.applied(5).await;
    assert_eq!(bench.take_done().len(), 64, "each file was written once");

    bench.entry(6, (0..64).map(|i| (format!("/f{i}"), json!("2"))).collect::<serde_json::Map<_, _>>().into());
    advance(Duration::from_millis(2500)).await;
    bench.entry(7, json!({}));
    bench.applied(7).await;
    let written = bench.take_done().iter().filter(|step| step.starts_with('+')).count();
    assert!(written < 64, "{written} files of a superseded document were written");
}

#[tokio::test(start_paused = true)]
async fn a_document_is_applied_as_it_comes_and_the_newest_counts() {
    let mut bench = Bench::start(HOUR);
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    bench.entry(2, json!({"/a": "2"}));
    bench.entry(3, json!({"/a": "3"}));
    bench.applied(3).await;
    assert_eq!(bench.take_done(), ["+File:/a", "+File:/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_wake_repairs_at_once_and_a_storm_of_them_at_a_bounded_pace() {
    let mut bench = Bench::start(HOUR);
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    let claim: Claim = "File:/a".parse().unwrap();
    let began = Instant::now();
    for _ in 0..1000 {
        bench.fake.disk().contents.clear();
        bench.wakes.send(claim.clone()).unwrap();
        advance(Duration::from_millis(5)).await;
    }
    let status = bench.reported(|status| status.resources[0].drift_corrections > 0).await;
    let passes = status.resources[0].drift_corrections;
    let most = began.elapsed().as_millis() / WAKE_SPACING.as_millis() + 1;
    assert!((1..=most).contains(&u128::from(passes)), "{passes} repairs, at most {most} expected");
}

#[tokio::test(start_paused = true)]
async fn without_a_wake_the_drift_timer_finds_what_was_altered() {
    let mut bench = Bench::start(HOUR);
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    bench.fake.disk().contents.clear();
    advance(HOUR.mul_f64(0.8)).await;
    assert!(bench.fake.disk().contents.is_empty(), "nothing could have told it yet");
    let status = bench.reported(|status| status.resources[0].drift_corrections == 1).await;
    assert_eq!(status.resources[0].changes, 1);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_until_it_works() {
    let mut bench = Bench::start(HOUR);
    bench.fake.disk().broken.insert("File:/a".into());
    bench.entry(1, json!({"/a": "1"}));
    bench.reported(|status| status.resources.first().is_some_and(|resource| resource.attempts == 3)).await;
    bench.fake.disk().broken.clear();
    let status = bench.applied(1).await;
    assert_eq!((status.resources[0].attempts, status.resources[0].next_retry), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_superseded_device_says_so_once_gives_no_sign_of_life_and_goes_on_enforcing() {
    let mut bench = Bench::start(HOUR);
    let ours = WriterStanding { epoch: 4, ..WriterStanding::default() };
    bench.standing.send_replace(ours.clone());
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    let beat = bench.heartbeats.borrow_and_update().clone().unwrap();
    assert_eq!((beat.epoch, beat.accepted_generation.map(u64::from)), (4, Some(1)));

    let other = agent_model::status::Writer { instance: "other".into(), epoch: 5, op: 1 };
    bench.standing.send_replace(WriterStanding { superseded_by: Some(other), ..ours });
    bench.fake.disk().contents.clear();
    bench.wakes.send("File:/a".parse().unwrap()).unwrap();
    bench.reported(|status| status.resources[0].drift_corrections == 1).await;
    assert_eq!(*bench.heartbeats.borrow(), None);
    let log = std::fs::read_to_string(bench.folder.path().join("audit.jsonl")).unwrap();
    assert_eq!(log.matches("\"DuplicateIdentity\"").count(), 1, "{log}");
}

#[tokio::test(start_paused = true)]
async fn the_epoch_that_this_process_claims_outlives_it_on_the_device() {
    let mut bench = Bench::start(HOUR);
    bench.standing.send_replace(WriterStanding { epoch: 4, ..WriterStanding::default() });
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    let bench = bench.restart(HOUR);
    // A store that lost the epochs begins to count anew; the device does not.
    bench.standing.send_replace(WriterStanding { epoch: 1, ..WriterStanding::default() });
    advance(HOUR).await;
    let layout = StateLayout::of(bench.folder.path());
    let ledger = Ledger::load(&layout, &"edge-1".parse().unwrap()).unwrap().ledger;
    assert_eq!(ledger.body().writer_epoch, 4);
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_told_and_leaves_everything_as_it_is() {
    let mut bench = Bench::start(HOUR);
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    bench.stop.send_replace(true);
    timeout(HOUR, &mut bench.task).await.expect("it does not stop").unwrap();
    assert_eq!(bench.fake.disk().contents.len(), 1);
    drop(bench.prior);
}

#[tokio::test(start_paused = true)]
async fn while_paused_documents_are_accepted_and_nothing_is_applied_or_repaired_until_it_ends() {
    let mut bench = Bench::start(Duration::from_secs(300));
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    bench.take_done();

    let pause = Pause { begun: Some(Timestamp::UNIX_EPOCH), until: None };
    let heeded = |bench: &Bench| Snapshot::read(&StateLayout::of(bench.folder.path())).unwrap().pause;
    assert_eq!(heeded(&bench), None);
    bench.pause.send_replace(Some(pause));
    let paused = |status: &AgentStatus| {
        status.condition(ConditionType::Paused).unwrap().status == ConditionStatus::True
    };
    bench.reported(paused).await;
    tokio::task::yield_now().await;
    assert_eq!(heeded(&bench), Some(pause));
    bench.fake.disk().contents.insert("File:/a".parse().unwrap(), "by hand".into());
    bench.wakes.send("File:/a".parse().unwrap()).unwrap();
    bench.entry(2, json!({"/a": "1", "/b": "1"}));
    let accepted = |status: &AgentStatus| status.accepted.as_ref().is_some_and(|it| it.generation.get() == 2);
    let status = bench.reported(|status| accepted(status) && status.summary.pending == 2).await;
    assert!(status.resources.iter().all(|resource| resource.reason == "Paused"), "{:?}", status.resources);
    advance(Duration::from_secs(3600)).await;
    assert_eq!(bench.take_done(), Vec::<String>::new());

    bench.pause.send_replace(None);
    let status = bench.applied(2).await;
    assert!(!paused(&status));
    assert_eq!(bench.fake.disk().contents.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_by_itself_at_its_time() {
    let mut bench = Bench::start(HOUR);
    let until = Timestamp::now().saturating_add(Duration::from_secs(60));
    let pause = Pause { begun: None, until: Some(until) };
    let layout = StateLayout::of(bench.folder.path());
    pause.begin(&layout).unwrap();
    bench.pause.send_replace(Some(pause));
    bench.entry(1, json!({"/a": "1"}));
    bench.reported(|status| status.summary.pending == 1).await;
    let began = Instant::now();
    bench.applied(1).await;
    assert!(began.elapsed() >= Duration::from_secs(50), "it ended after {:?}", began.elapsed());
    // The clock may be set back later, or not at all after the next boot.
    assert_eq!(Pause::read(&layout), None);
}

#[tokio::test(start_paused = true)]
async fn a_pause_does_not_make_a_failing_resource_begin_anew() {
    let mut bench = Bench::start(Duration::from_secs(300));
    bench.fake.disk().broken.insert("File:/a".into());
    bench.entry(1, json!({"/a": "1"}));
    let attempts = |status: &AgentStatus| status.resources.first().map_or(0, |resource| resource.attempts);
    let before = attempts(&*bench.reported(|status| attempts(status) >= 3).await);
    bench.pause.send_replace(Some(Pause { begun: None, until: None }));
    advance(Duration::from_secs(1200)).await;
    bench.pause.send_replace(None);
    let after = attempts(&*bench.reported(|status| attempts(status) > 0 && attempts(status) != before).await);
    assert!(after > before, "{after} attempts after a pause, {before} before");
}

/// A device in safe mode because of generation 2, which crashes where it is applied, and which is the
/// newest entry.
async fn in_safe_mode() -> Bench {
    let mut bench = Bench::start(HOUR);
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    bench.fake.disk().crashes.insert("apply File:/b".into());
    for _ in 0..5 {
        bench.entry(2, json!({"/b": "2"}));
        sleep(Duration::from_secs(1)).await;
        assert!(!is_in_safe_mode(&bench));
        bench = bench.restart(HOUR);
    }
    bench.entry(2, json!({"/b": "2"}));
    let status = bench.reported(|_| true).await;
    assert_eq!(status.phase, Phase::Degraded);
    assert!(is_in_safe_mode(&bench));
    bench
}

fn is_in_safe_mode(bench: &Bench) -> bool {
    SafeMode::read(&StateLayout::of(bench.folder.path())).is_some()
}

#[tokio::test(start_paused = true)]
async fn in_safe_mode_nothing_is_done_for_whatever_reason_until_it_is_ended_on_the_device() {
    let mut bench = in_safe_mode().await;
    bench.fake.disk().contents.insert("File:/a".parse().unwrap(), "by hand".into());
    bench.wakes.send("File:/a".parse().unwrap()).unwrap();
    bench.pause.send_replace(Some(Pause { begun: None, until: None }));
    sleep(HOUR * 3).await;
    bench.pause.send_replace(None);
    sleep(HOUR * 3).await;
    assert_eq!(bench.take_done(), ["+File:/a"], "as before");

    bench.fake.disk().crashes.clear();
    SafeMode::end(&StateLayout::of(bench.folder.path())).unwrap();
    bench.safe_mode.send_replace(false);
    let status = bench.applied(2).await;
    assert_eq!(status.condition(ConditionType::SafeMode).unwrap().status, ConditionStatus::False);
    assert_eq!(bench.take_done(), ["+File:/b", "-File:/a"]);
}

#[tokio::test(start_paused = true)]
async fn safe_mode_that_is_ended_before_the_loop_looks_is_not_overlooked() {
    let Bench { fake, folder, task, .. } = in_safe_mode().await;
    task.abort();
    fake.disk().crashes.clear();
    let layout = StateLayout::of(folder.path());
    let mut device = device(&fake, &folder, Formats::none().with(FakeFormat), None);
    device.guard_against_crashes(&layout);
    assert!(SafeMode::end(&layout).unwrap().is_some());
    let mut bench = Bench::run(device, fake, folder, HOUR);
    bench.entry(2, json!({"/b": "2"}));
    bench.applied(2).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_told_to_stop_in_the_middle_of_a_pass_has_not_crashed() {
    let mut bench = Bench::start(HOUR);
    bench.fake.disk().crashes.insert("apply File:/a".into());
    for _ in 0..20 {
        bench.entry(1, json!({"/a": "1", "/b": "1"}));
        sleep(Duration::from_secs(1)).await;
        bench.stop.send_replace(true);
        timeout(HOUR, &mut bench.task).await.expect("it does not stop").unwrap();
        bench = bench.restart(HOUR);
    }
    assert!(!is_in_safe_mode(&bench));
}
