//! Going back from a document that was not ready in its time.

use agent_model::status::RolledBack;

use super::*;
use crate::{
    fakes::{SteppedClock, device_with},
    ledger::Ledger,
    policy::Policy,
    signing::{Sealed, SecretKey, Trust, TrustedKey},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A device that has converged with `{"/a": "1", "/b": "1"}`, and whose clock may be set.
struct Trial {
    bench: Bench,
    clock: SteppedClock,
}

impl Trial {
    async fn of_a_device_that_converged() -> Self {
        let mut trial = Self::of_a_new_device();
        trial.bench.take(4, json!({"/a": "1", "/b": "1"})).await;
        trial.bench.take_done();
        trial
    }

    fn of_a_new_device() -> Self {
        let mut trial = Self { bench: Bench::without_floor(), clock: SteppedClock::default() };
        trial.restart();
        trial.bench.device.take_floor(None);
        trial
    }

    /// A start of the agent.
    fn restart(&mut self) {
        self.restart_with(Formats::none().with(FakeFormat), Policy::default());
    }

    fn restart_with(&mut self, formats: Formats, rules: Policy) {
        // What it said last is on disk.
        let before = self.bench.device.reporter.last().cloned();
        let (fake, folder) = (&self.bench.fake, &self.bench.folder);
        self.bench.device = device_with(fake, folder, formats, before, self.clock.clock(), rules);
        self.bench.device.guard_against_crashes(&StateLayout::of(self.bench.folder.path()));
        self.bench.device.heed_deadlines();
    }

    /// From now on this is whom the device believes.
    fn trust(&mut self, trust: &Trust) {
        Arc::get_mut(&mut self.bench.device.acceptance).unwrap().trust = trust.clone();
    }

    /// Generation 5, which has a minute and fails, is in force.
    async fn take_the_bad_one(&mut self) -> AgentStatus {
        self.bench.fake.disk().broken = ["File:/bad".to_owned()].into();
        self.bench.device.take_entry(bad());
        self.bench.pass().await
    }

    /// Lets time pass, with whatever passes are due, and says how things stand then.
    async fn after(&mut self, duration: Duration) -> AgentStatus {
        let end = Instant::now() + duration;
        for _ in 0..1000 {
            let due = self.bench.device.due().filter(|due| *due <= end);
            let Some(due) = due else { break };
            tokio::time::sleep_until(due).await;
            self.bench.pass().await;
        }
        tokio::time::sleep_until(end).await;
        self.bench.device.report()
    }

    fn ledger(&self) -> &LedgerBody {
        self.bench.device.ledger()
    }
}

fn bad() -> DesiredValue {
    document(5, json!({"/a": "5", "/bad": "5", "deadline": 60}))
}

fn late(status: &AgentStatus) -> Option<u64> {
    status.rolled_back.as_ref().map(|late| late.generation.get())
}

#[tokio::test(start_paused = true)]
async fn what_was_not_ready_in_its_time_gives_way_to_the_last_that_was_and_the_status_says_why() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.bench.fake.disk().logs =
        [("File:/bad".parse().unwrap(), "one\ntwo \u{1b}[31m\n".to_owned())].into();
    let status = trial.take_the_bad_one().await;
    assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::Degraded, Some(5), None));
    let status = trial.after(MINUTE - SECOND).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Degraded, Some(5)));

    let status = trial.after(SECOND).await;
    assert_eq!((status.phase, accepted(&status), applied(&status)), (Phase::RolledBack, Some(4), Some(4)));
    assert_eq!(status.highest_generation.map(Generation::get), Some(5));
    assert_eq!(condition(&status, ConditionType::Converged), (ConditionStatus::True, "AllReady"));
    assert_eq!(condition(&status, ConditionType::Accepted), (ConditionStatus::True, "Accepted"));
    let RolledBack { generation, reason, message, resources, .. } = status.rolled_back.unwrap();
    assert_eq!((generation.get(), reason.as_str()), (5, "DeadlineExceeded"));
    for part in ["generation 5", "1m", "File \"bad\" (Broken)", "generation 4"] {
        assert!(message.contains(part), "{part} is missing: {message}");
    }
    let told: Vec<_> = resources.iter().map(|it| (it.name.as_str(), it.log_tail.as_deref())).collect();
    assert_eq!(told, [("bad", Some("one\ntwo \u{fffd}[31m"))]);
    assert_eq!(trial.bench.fake.disk().contents.len(), 2, "what only the late one declares is gone");
    let log = fs::read_to_string(trial.bench.folder.path().join("audit.jsonl")).unwrap();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("\"RolledBack\"")).collect();
    assert!(told.len() == 1 && told[0].contains("\"generation\":5"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn what_both_documents_declare_alike_is_not_touched() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.bench.fake.disk().broken = ["File:/bad".to_owned()].into();
    trial.bench.take(5, json!({"/a": "1", "/b": "1", "/bad": "5", "deadline": 60})).await;
    let status = trial.after(2 * MINUTE).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::RolledBack, Some(4)));
    assert_eq!(trial.bench.take_done(), Vec::<String>::new());
    assert!(status.resources.iter().all(|resource| resource.changes == 1 && resource.drift_corrections == 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_due_but_the_deadline_where_nothing_else_is() {
    let mut trial = Trial::of_a_device_that_converged().await;
    let begun = Instant::now();
    // It waits for something that nobody makes.
    trial.bench.take(5, json!({"/a": "needs /x", "deadline": 7200})).await;
    while let Some(due) = trial.bench.device.due().filter(|due| *due < begun + 120 * MINUTE) {
        tokio::time::sleep_until(due).await;
        trial.bench.pass().await;
    }
    assert_eq!(trial.bench.device.due(), Some(begun + 120 * MINUTE));
}

#[tokio::test(start_paused = true)]
async fn what_converged_once_is_never_gone_back_from() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    assert!(trial.ledger().way_back().is_some() && trial.ledger().running_trial().is_some());
    trial.bench.fake.disk().broken.clear();
    let status = trial.after(MINUTE / 2).await;
    assert_eq!((status.phase, applied(&status)), (Phase::Converged, Some(5)));
    assert_eq!((trial.ledger().fallback.as_ref(), trial.ledger().trial.as_ref()), (None, None));
    trial.bench.fake.disk().contents.clear();
    trial.bench.fake.disk().broken = ["File:/bad".to_owned()].into();
    trial.bench.pass().await;
    let status = trial.after(60 * MINUTE).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Degraded, Some(5)));
    assert_eq!(trial.bench.device.report().rolled_back, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_only_after_its_time_is_late_and_nothing_of_it_is_begun_then() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.bench.fake.disk().slow = MINUTE + SECOND;
    let status = trial.bench.take(5, json!({"/a": "5", "/late": "5", "deadline": 60})).await;
    // Both were begun in time, and the removal of /b was not.
    assert_eq!(trial.bench.take_done(), ["+File:/a", "+File:/late"]);
    assert_eq!((status.phase, accepted(&status), applied(&status)), (Phase::Converging, Some(5), Some(4)));
    trial.bench.fake.disk().slow = Duration::ZERO;
    let status = trial.after(SECOND).await;
    assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::RolledBack, Some(4), Some(5)));

    // The same where it is all that there was to be done.
    trial.bench.fake.disk().slow = MINUTE + SECOND;
    let status = trial.bench.take(6, json!({"/a": "6", "/b": "1", "deadline": 60})).await;
    assert_eq!((status.phase, applied(&status)), (Phase::Converging, Some(4)));
    let status = trial.after(SECOND).await;
    assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::RolledBack, Some(4), Some(6)));
}

#[tokio::test(start_paused = true)]
async fn no_pass_copies_the_documents() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    let documents = |body: &LedgerBody| {
        [&body.accepted, &body.fallback].map(|document| Arc::clone(&document.as_ref().unwrap().raw))
    };
    let before = documents(trial.ledger());
    trial.after(MINUTE / 2).await;
    let after = documents(trial.ledger());
    assert!(before.iter().zip(&after).all(|(before, after)| Arc::ptr_eq(before, after)));
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_nobody_goes_back() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.bench.fake.disk().broken = ["File:/bad".to_owned()].into();
    trial.bench.take(5, json!({"/bad": "5"})).await;
    let status = trial.after(600 * MINUTE).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Degraded, Some(5)));
    // It is kept all the same, for a later one that has.
    trial.bench.take(6, json!({"/bad": "6", "deadline": 60})).await;
    let status = trial.after(MINUTE).await;
    assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::RolledBack, Some(4), Some(6)));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_ever_converged_there_is_nothing_to_go_back_to() {
    let mut trial = Trial::of_a_new_device();
    trial.take_the_bad_one().await;
    let status = trial.after(600 * MINUTE).await;
    assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::Degraded, Some(5), None));
    trial.bench.fake.disk().broken.clear();
    assert_eq!(trial.after(10 * MINUTE).await.phase, Phase::Converged);
}

#[tokio::test(start_paused = true)]
async fn the_same_document_again_changes_nothing_and_a_newer_one_is_taken_also_after_a_restart() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    let before = trial.after(2 * MINUTE).await;
    trial.bench.take_done();
    for restarts in [false, true] {
        if restarts {
            trial.restart();
        }
        for _ in 0..3 {
            assert!(!trial.bench.device.take_entry(bad()), "no pass is due for it");
            let status = trial.bench.pass().await;
            assert_eq!((status.phase, &status.rolled_back), (Phase::RolledBack, &before.rolled_back));
            assert_eq!(condition(&status, ConditionType::Accepted), (ConditionStatus::True, "Accepted"));
            assert!(!trial.bench.device.successor_test()(&raw(bad())));
        }
        trial.bench.device.take_entry(document(4, json!({"/a": "1", "/b": "1"})));
        let status = trial.bench.pass().await;
        assert_eq!(condition(&status, ConditionType::Accepted).1, "StaleGeneration");
    }
    assert_eq!(trial.bench.take_done(), Vec::<String>::new());
    let status = trial.bench.take(6, json!({"/a": "6"})).await;
    assert_eq!((status.phase, applied(&status), late(&status)), (Phase::Converged, Some(6), None));
    assert_eq!(trial.ledger().rolled_back, None);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_made_to_forget_its_generation_still_goes_back_once() {
    // As `harmony-agent reset-generation` does.
    let reset = |trial: &mut Trial| {
        let layout = StateLayout::of(trial.bench.folder.path());
        let mut ledger = Ledger::load(&layout, &"edge-1".parse().unwrap()).unwrap().ledger;
        let body = LedgerBody { highest: None, ..ledger.body().clone() };
        ledger.commit(body).unwrap();
        trial.restart();
    };
    for while_on_trial in [true, false] {
        let mut trial = Trial::of_a_device_that_converged().await;
        trial.take_the_bad_one().await;
        if !while_on_trial {
            trial.after(2 * MINUTE).await;
        }
        reset(&mut trial);
        trial.bench.pass().await;
        trial.after(2 * MINUTE).await;
        assert!(!trial.bench.device.take_entry(bad()));
        let status = trial.after(2 * MINUTE).await;
        assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::RolledBack, Some(4), Some(5)));
        if while_on_trial {
            assert_eq!(
                status.highest_generation.map(Generation::get),
                Some(5),
                "what went back knows it again"
            );
            reset(&mut trial);
        }
        let status = trial.bench.take(1, json!({"/a": "anew"})).await;
        assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::Converged, Some(1), None));
    }
}

fn raw(value: DesiredValue) -> Vec<u8> {
    match value {
        DesiredValue::Some { raw, .. } => raw,
        DesiredValue::None => unreachable!("it is one"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_document_that_comes_in_when_the_time_is_up_goes_first() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    tokio::time::sleep(MINUTE).await;
    assert!(trial.bench.device.time_is_up());
    let status = trial.bench.take(6, json!({"/a": "6"})).await;
    assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::Converged, Some(6), None));
}

#[tokio::test(start_paused = true)]
async fn a_newer_document_that_comes_in_while_logs_are_read_goes_first() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.bench.fake.disk().silent = true;
    tokio::time::sleep(MINUTE).await;
    trial.bench.device.pass(|| true, |_| ()).await;
    assert_eq!(accepted(&trial.bench.device.report()), Some(5));
    assert_eq!(trial.bench.device.due().map(|due| due <= Instant::now()), Some(true), "it is not forgotten");
    let status = trial.bench.take(6, json!({"/a": "6"})).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Converged, Some(6)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_had_holds_nothing_up() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.bench.fake.disk().silent = true;
    let status = trial.after(MINUTE + 5 * SECOND).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::RolledBack, Some(4)));
    assert_eq!(status.rolled_back.unwrap().resources[0].log_tail, None);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_flapping_however_many_passes_follow() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    let before = trial.after(2 * MINUTE).await;
    trial.bench.take_done();
    for n in 0..1000 {
        if n % 100 == 0 {
            trial.restart();
        }
        trial.bench.device.take_entry(bad());
        trial.after(MINUTE).await;
        let status = trial.bench.pass().await;
        assert_eq!((status.phase, &status.rolled_back), (Phase::RolledBack, &before.rolled_back));
    }
    assert_eq!(trial.bench.take_done(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_old_document_that_fails_itself_stays_in_force_and_is_repaired_when_it_can_be() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.bench.fake.disk().broken.insert("File:/a".into());
    let status = trial.after(600 * MINUTE).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::RolledBack, Some(4)));
    assert_eq!(condition(&status, ConditionType::Converged), (ConditionStatus::False, "Failing"));
    trial.bench.fake.disk().broken.clear();
    let status = trial.after(10 * MINUTE).await;
    assert_eq!(condition(&status, ConditionType::Converged), (ConditionStatus::True, "AllReady"));
    trial.bench.fake.disk().contents.clear();
    let status = trial.bench.pass().await;
    assert_eq!((status.phase, status.resources[0].drift_corrections), (Phase::RolledBack, 1));
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_its_time_goes_on_with_what_is_left() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.after(MINUTE / 2).await;
    trial.restart();
    trial.bench.pass().await;
    let status = trial.after(MINUTE / 2 - SECOND).await;
    assert_eq!((accepted(&status), late(&status)), (Some(5), None));
    let status = trial.after(SECOND).await;
    assert_eq!((accepted(&status), late(&status)), (Some(4), Some(5)));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_off_meanwhile_gives_one_more_try() {
    for helps in [true, false] {
        let mut trial = Trial::of_a_device_that_converged().await;
        trial.take_the_bad_one().await;
        tokio::time::sleep(600 * MINUTE).await;
        trial.restart();
        if helps {
            trial.bench.fake.disk().broken.clear();
        }
        let status = trial.bench.pass().await;
        assert_eq!(accepted(&status), Some(5));
        let status = trial.after(MINUTE).await;
        let stands = (status.phase, accepted(&status));
        assert_eq!(stands, if helps { (Phase::Converged, Some(5)) } else { (Phase::RolledBack, Some(4)) });
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_starts_the_device_again_and_again_is_gone_back_from_whatever_the_clock_says() {
    for clock_is_lost in [true, false] {
        let mut trial = Trial::of_a_device_that_converged().await;
        trial.take_the_bad_one().await;
        let mut boots = 0;
        while accepted(&trial.bench.device.report()) == Some(5) {
            tokio::time::sleep(20 * SECOND).await;
            if clock_is_lost {
                trial.clock.set(Timestamp::UNIX_EPOCH);
            }
            trial.restart();
            trial.bench.pass().await;
            boots += 1;
            assert!(boots < 20, "it goes on and on");
        }
        assert_eq!(trial.bench.device.report().phase, Phase::RolledBack);
        assert!(boots >= 4, "{boots}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_finds_the_time_up_for_good_goes_back_before_it_looks_at_anything_and_knows_why() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.bench.fake.disk().logs = [("File:/bad".parse().unwrap(), "the end".to_owned())].into();
    trial.take_the_bad_one().await;
    for _ in 0..2 {
        tokio::time::sleep(10 * MINUTE).await;
        trial.restart();
        trial.bench.device.keep_time();
    }
    // It would crash.
    trial.bench.fake.disk().crashes = ["apply File:/bad".to_owned()].into();
    let status = trial.bench.pass().await;
    let late = status.rolled_back.unwrap();
    assert!(late.message.contains("File \"bad\" (Broken)"), "{}", late.message);
    assert_eq!(late.resources[0].log_tail.as_deref(), Some("the end"));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_alters_nothing_while_the_agent_runs() {
    let past = Timestamp::UNIX_EPOCH;
    let future = Timestamp::now().saturating_add(Duration::from_secs(1 << 30));
    for wall in [past, future] {
        let mut trial = Trial::of_a_device_that_converged().await;
        trial.take_the_bad_one().await;
        trial.clock.set(wall);
        assert_eq!(accepted(&trial.after(MINUTE - SECOND).await), Some(5));
        assert_eq!(accepted(&trial.after(SECOND).await), Some(4));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_after_the_acceptance_takes_and_gives_no_time_after_a_start_and_costs_one_write()
{
    let day = Duration::from_secs(24 * 3600);
    let now = Timestamp::now();
    for (accepted_at, set_to) in [(Timestamp::UNIX_EPOCH, now), (now.saturating_add(day), now)] {
        let mut trial = Trial::of_a_device_that_converged().await;
        trial.clock.set(accepted_at);
        trial.bench.fake.disk().broken = ["File:/bad".to_owned()].into();
        trial.bench.take(5, json!({"/bad": "5", "deadline": 600})).await;
        trial.after(MINUTE).await;
        trial.clock.set(set_to);
        trial.bench.pass().await;
        let noted = trial.ledger().trial.clone();
        trial.after(MINUTE).await;
        assert_eq!(trial.ledger().trial, noted);
        trial.restart();
        trial.bench.pass().await;
        assert_eq!(accepted(&trial.after(8 * MINUTE - SECOND).await), Some(5));
        assert_eq!(accepted(&trial.after(SECOND).await), Some(4));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_before_a_start_leaves_no_more_than_the_whole_time() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.clock.set(Timestamp::UNIX_EPOCH);
    trial.restart();
    trial.bench.pass().await;
    assert_eq!(accepted(&trial.after(MINUTE - SECOND).await), Some(5));
    assert_eq!(accepted(&trial.after(SECOND).await), Some(4));
}

#[tokio::test(start_paused = true)]
async fn no_time_runs_out_in_a_pause_and_it_counts_anew_from_its_end() {
    let pause = Some(Pause { begun: None, until: None });
    for restarts in [false, true] {
        for paused_before_acceptance in [false, true] {
            let mut trial = Trial::of_a_device_that_converged().await;
            if paused_before_acceptance {
                trial.bench.device.set_pause(pause);
            }
            trial.take_the_bad_one().await;
            trial.after(MINUTE / 2).await;
            trial.bench.device.set_pause(pause);
            trial.bench.pass().await;
            assert_eq!(trial.bench.device.due(), None);
            let status = trial.after(600 * MINUTE).await;
            assert_eq!((accepted(&status), late(&status)), (Some(5), None));
            if restarts {
                trial.restart();
            }
            trial.bench.device.set_pause(None);
            trial.bench.pass().await;
            assert_eq!(accepted(&trial.after(MINUTE - SECOND).await), Some(5));
            assert_eq!(accepted(&trial.after(SECOND).await), Some(4));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_while_going_back_leaves_one_of_the_two_in_force_and_the_old_one_in_the_end() {
    for (place, in_force) in [("observe File:/a", 5), ("apply File:/a", 4)] {
        let mut trial = Trial::of_a_device_that_converged().await;
        trial.take_the_bad_one().await;
        tokio::time::sleep(MINUTE).await;
        trial.bench.fake.disk().crashes = [place.to_owned()].into();
        let pass = trial.bench.device.pass(|| false, |_| ());
        assert!(tokio::time::timeout(MINUTE, pass).await.is_err(), "it did not crash");
        trial.bench.fake.disk().crashes.clear();
        trial.restart();
        assert_eq!(accepted(&trial.bench.device.report()), Some(in_force), "{place}");
        trial.bench.device.take_entry(bad());
        trial.bench.pass().await;
        let status = trial.after(2 * MINUTE).await;
        assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::RolledBack, Some(4), Some(5)));
        assert_eq!(condition(&status, ConditionType::Converged).1, "AllReady");
        let log = fs::read_to_string(trial.bench.folder.path().join("audit.jsonl")).unwrap();
        assert_eq!(log.matches("\"RolledBack\"").count(), 1, "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_ledger_to_write_nobody_goes_back_until_it_can_be() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.bench.break_disk();
    let status = trial.after(10 * MINUTE).await;
    assert_eq!((accepted(&status), late(&status)), (Some(5), None));
    assert_eq!(condition(&status, ConditionType::Accepted), (ConditionStatus::True, "Accepted"));
    trial.bench.mend_disk();
    let status = trial.after(2 * MINUTE).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::RolledBack, Some(4)));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_the_agent_cannot_read_or_make_any_more_is_not_gone_back_to_and_that_is_said_once() {
    let narrower: Policy = toml::from_str("paths = ['/a', '/bad']").unwrap();
    let agents: [fn() -> Formats; 2] =
        [|| Formats::none().with(TooOld("/b")), || Formats::none().with(FakeFormat)];
    for (formats, rules) in agents.into_iter().zip([Policy::default(), narrower]) {
        let mut trial = Trial::of_a_device_that_converged().await;
        trial.take_the_bad_one().await;
        for _ in 0..2 {
            trial.restart_with(formats(), rules.clone());
            trial.bench.pass().await;
            let status = trial.after(600 * MINUTE).await;
            assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::Degraded, Some(5), None));
        }
        let log = fs::read_to_string(trial.bench.folder.path().join("audit.jsonl")).unwrap();
        assert_eq!(log.matches("\"NoWayBack\"").count(), 1, "{log}");
        trial.bench.fake.disk().broken.clear();
        assert_eq!(trial.after(10 * MINUTE).await.phase, Phase::Converged, "it goes on trying");
    }
}

fn signed(value: DesiredValue, key: &SecretKey) -> DesiredValue {
    DesiredValue::Some { revision: 1, raw: Sealed::seal(&raw(value), key) }
}

/// A device that converged with generation 4, with each of these signatures on it in turn, and whose generation 5,
/// which `new` has signed, has run out of time after a start that finds `trust`.
async fn back_by_trust(
    [old, new]: [&SecretKey; 2],
    signatures: &[Option<&SecretKey>],
    trust: Trust,
) -> (Option<u64>, String) {
    let mut trial = Trial::of_a_new_device();
    let endless = |key: &SecretKey| TrustedKey { key: key.public(), not_after: None };
    trial.trust(&Trust::in_keys([endless(old), endless(new)], true));
    let good = || document(4, json!({"/a": "1", "/b": "1"}));
    for signature in signatures {
        let entry = signature.map_or_else(good, |key| signed(good(), key));
        trial.bench.device.take_entry(entry);
        trial.bench.pass().await;
    }
    trial.bench.fake.disk().broken = ["File:/bad".to_owned()].into();
    trial.bench.device.take_entry(signed(bad(), new));
    assert_eq!(accepted(&trial.bench.pass().await), Some(5));
    trial.restart();
    trial.trust(&trust);
    trial.bench.pass().await;
    let status = trial.after(10 * MINUTE).await;
    let log = fs::read_to_string(trial.bench.folder.path().join("audit.jsonl")).unwrap();
    (accepted(&status), log.lines().filter(|line| line.contains("NoWayBack")).collect())
}

#[tokio::test(start_paused = true)]
async fn a_document_is_gone_back_to_only_while_somebody_is_trusted_who_signed_it() {
    let [old, new] = [(); 2].map(|()| SecretKey::generate().unwrap());
    let key = |key: &SecretKey, not_after: Option<&str>| TrustedKey {
        key: key.public(),
        not_after: not_after.map(|time| time.parse().unwrap()),
    };
    let only_new = || Trust::in_keys([key(&new, None)], false);
    let over = Trust::in_keys([key(&old, Some("2026-01-01T00:00:00Z")), key(&new, None)], false);
    let plain_too = Trust::in_keys([key(&new, None)], true);
    for (what, signatures, trust, expected) in [
        ("a key that was taken away", &[Some(&old)][..], only_new(), Err("UntrustedSignature")),
        ("a key whose time is over", &[Some(&old)], over, Ok(())),
        ("one that was signed anew since", &[Some(&old), Some(&new)], only_new(), Ok(())),
        ("nobody's, where keys are asked for", &[None], only_new(), Err("Unsigned")),
        ("nobody's, where that is allowed", &[None], plain_too, Ok(())),
        ("anybody's, where nobody asks", &[Some(&old)], Trust::in_anybody(), Ok(())),
    ] {
        let (in_force, told) = back_by_trust([&old, &new], signatures, trust).await;
        assert_eq!(in_force, Some(if expected.is_ok() { 4 } else { 5 }), "{what}: {told}");
        assert!(expected.map_or_else(|word| told.contains(word), |()| told.is_empty()), "{what}: {told}");
    }
}

/// The format of an agent that cannot read what declares this path.
struct TooOld(&'static str);

impl ManifestFormat for TooOld {
    fn kind(&self) -> &'static str {
        FakeFormat.kind()
    }

    fn schema_versions(&self) -> Vec<Version> {
        FakeFormat.schema_versions()
    }

    fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
        match document.spec.get(self.0) {
            Some(_) => Err(Invalid::at("/spec", "too new")),
            None => FakeFormat.lower(document),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_crashed_the_agent_into_safe_mode_is_gone_back_from_and_that_ends_it() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.bench.fake.disk().crashes = ["apply File:/bad".to_owned()].into();
    trial.bench.device.take_entry(bad());
    for _ in 0..5 {
        let pass = trial.bench.device.pass(|| false, |_| ());
        assert!(tokio::time::timeout(SECOND, pass).await.is_err(), "it did not crash");
        trial.restart();
    }
    let status = trial.bench.pass().await;
    assert_eq!(
        (accepted(&status), condition(&status, ConditionType::SafeMode).1),
        (Some(5), "RepeatedCrashes")
    );
    let status = trial.after(2 * MINUTE).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::RolledBack, Some(4)));
    assert_eq!(condition(&status, ConditionType::SafeMode).0, ConditionStatus::False);
    assert_eq!(condition(&status, ConditionType::Converged).1, "AllReady");
    let late = status.rolled_back.unwrap();
    assert!(late.message.contains("crashed with it 5 times"), "{}", late.message);
    assert_eq!(late.resources, [], "of none is known that it was not ready");
    trial.restart();
    assert!(!trial.bench.device.take_entry(bad()));
    let status = trial.bench.pass().await;
    assert_eq!((status.phase, trial.bench.device.safe_mode()), (Phase::RolledBack, None));
}

#[tokio::test(start_paused = true)]
async fn one_that_the_agent_cannot_read_any_more_is_gone_back_from_and_nothing_is_said_of_what_nobody_looked_at()
 {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.bench.fake.disk().broken = ["File:/bad".to_owned()].into();
    trial.bench.take(5, json!({"/bad": "5", "/c": "5", "deadline": 60})).await;
    trial.restart_with(Formats::none().with(TooOld("/c")), Policy::default());
    let status = trial.bench.pass().await;
    assert!(status.resources.iter().all(|resource| resource.reason == "DocumentUnreadable"));
    let status = trial.after(MINUTE).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::RolledBack, Some(4)));
    let late = status.rolled_back.unwrap();
    assert!(late.resources.is_empty() && !late.message.contains("File"), "{}", late.message);
}

#[tokio::test(start_paused = true)]
async fn an_old_document_that_crashes_the_agent_before_it_is_in_force_again_is_left_alone_in_the_end() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.bench.fake.disk().crashes = ["observe File:/b".to_owned()].into();
    tokio::time::sleep(MINUTE).await;
    let mut crashes = 0;
    for _ in 0..40 {
        let pass = trial.bench.device.pass(|| false, |_| ());
        if tokio::time::timeout(10 * SECOND, pass).await.is_ok() {
            tokio::time::sleep(MINUTE).await;
        } else {
            crashes += 1;
            trial.restart();
        }
    }
    assert_eq!(crashes, 5);
    assert_eq!(accepted(&trial.bench.device.report()), Some(5));
    trial.bench.fake.disk().broken.clear();
    assert_eq!(trial.after(10 * MINUTE).await.phase, Phase::Converged, "it goes on trying");
}

#[tokio::test(start_paused = true)]
async fn logs_that_crash_the_agent_are_left_unread_in_the_end_and_do_not_count_against_the_old_document() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.bench.fake.disk().crashes = ["read File:/bad".to_owned()].into();
    tokio::time::sleep(MINUTE).await;
    let (mut crashes, mut passes) = (0, 0);
    while trial.ledger().accepted.as_ref().is_some_and(|document| document.generation.get() == 5) {
        let pass = trial.bench.device.pass(|| false, |_| ());
        passes += 1;
        assert!(passes < 40, "it never goes back");
        // Less than what a log may take.
        if tokio::time::timeout(SECOND, pass).await.is_err() {
            crashes += 1;
            trial.restart();
        }
        tokio::time::sleep(MINUTE).await;
    }
    assert!(crashes > 4, "{crashes}");
    let status = trial.bench.device.report();
    assert_eq!((status.phase, trial.bench.device.safe_mode()), (Phase::RolledBack, None));
    assert_eq!(status.rolled_back.unwrap().resources[0].log_tail, None);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_lost_its_ledger_takes_the_document_again_and_has_nothing_to_go_back_to() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    let before = trial.after(2 * MINUTE).await;
    let layout = StateLayout::of(trial.bench.folder.path());
    fs::remove_file(layout.ledger()).unwrap();
    fs::remove_file(layout.previous_ledger()).unwrap();
    trial.restart();
    let late = before.rolled_back.unwrap();
    let floor = HighWaterMark { generation: late.generation, digest: Some(late.digest) };
    trial.bench.device.take_entry(bad());
    assert!(trial.bench.device.take_floor(Some(floor)));
    trial.bench.pass().await;
    let status = trial.after(600 * MINUTE).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Degraded, Some(5)));
    assert_eq!(status.rolled_back, None);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_heed_deadlines_leaves_them_to_the_next_who_does() {
    let mut trial = Trial::of_a_device_that_converged().await;
    // As `harmony-agent once` does.
    trial.bench.restart(Formats::none().with(FakeFormat));
    trial.take_the_bad_one().await;
    let status = trial.after(600 * MINUTE).await;
    assert_eq!((accepted(&status), late(&status)), (Some(5), None));
    trial.restart();
    trial.bench.pass().await;
    assert_eq!(accepted(&trial.after(MINUTE).await), Some(4));
}

#[tokio::test(start_paused = true)]
async fn several_late_documents_in_a_row_all_lead_back_to_the_one_that_converged() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.after(MINUTE / 2).await;
    // It has a whole time of its own.
    trial.bench.take(6, json!({"/bad": "6", "deadline": 60})).await;
    assert_eq!(accepted(&trial.after(MINUTE - SECOND).await), Some(6));
    let status = trial.after(SECOND).await;
    assert_eq!((accepted(&status), late(&status)), (Some(4), Some(6)));
    trial.bench.take(7, json!({"/bad": "7", "deadline": 60})).await;
    let status = trial.after(MINUTE).await;
    assert_eq!((accepted(&status), late(&status)), (Some(4), Some(7)));
    assert_eq!(condition(&status, ConditionType::Converged).1, "AllReady");
}

#[tokio::test(start_paused = true)]
async fn an_unassigned_device_goes_back_all_the_same() {
    let mut trial = Trial::of_a_device_that_converged().await;
    trial.take_the_bad_one().await;
    trial.bench.device.take_entry(DesiredValue::None);
    let status = trial.after(2 * MINUTE).await;
    assert_eq!((status.phase, accepted(&status), late(&status)), (Phase::Unassigned, Some(4), Some(5)));
}
