//! The wall clock is set back or forward by years, by hand or when the network is there at last.

use super::*;
use crate::policy::Tolerance;

const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Ten years back and ten years forward.
fn steps() -> [Timestamp; 2] {
    let now = Timestamp::now();
    let back = Timestamp::UNIX_EPOCH.saturating_add(now.since(Timestamp::UNIX_EPOCH) - YEARS);
    [back, now.saturating_add(YEARS)]
}

const DRIFT_INTERVAL: Duration = Duration::from_secs(300);

/// A device on its own clock, which converged at generation 1.
async fn converged() -> (Bench, SteppedClock) {
    let clock = SteppedClock::default();
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::start_with_clock(FakeReconciler::default(), folder, DRIFT_INTERVAL, &clock);
    bench.entry(1, json!({"/a": "1"}));
    bench.applied(1).await;
    bench.take_done();
    (bench, clock)
}

/// An entry that expires at that time.
fn expiring(generation: u64, expires_at: Timestamp, spec: serde_json::Value) -> Option<Entry> {
    let document = json!({
        "apiVersion": "harmony/v1", "kind": "Fake", "schemaVersion": "1.0.0", "spec": spec,
        "metadata": {"name": "edge-1", "generation": generation, "expiresAt": expires_at},
    });
    Some(Entry::Present { revision: generation, value: document.to_string().into() })
}

fn is_expired(status: &AgentStatus) -> bool {
    status.condition(ConditionType::Accepted).unwrap().reason == "Expired"
}

#[tokio::test(start_paused = true)]
async fn a_step_of_the_clock_is_no_news_and_repairs_go_on() {
    for step in steps() {
        let (mut bench, clock) = converged().await;
        let before = bench.reports.borrow_and_update().clone();
        clock.set(step);
        // Some passes of the drift timer.
        sleep(HOUR).await;
        assert!(!bench.reports.has_changed().unwrap(), "{:?}, was {before:?}", bench.reports.borrow());
        assert_eq!(bench.take_done(), Vec::<String>::new());
        bench.fake.disk().contents.insert("File:/a".parse().unwrap(), "by hand".into());
        let status = bench.reported(|status| status.resources[0].drift_corrections == 1).await;
        // What has not changed since keeps the time at which it did.
        let before = before.unwrap();
        for (now, then) in status.conditions.iter().zip(&before.conditions) {
            assert_eq!(now.last_transition_time, then.last_transition_time);
        }
        assert_eq!(status.resources[0].since, before.resources[0].since);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_resource_is_tried_again_in_time_whatever_the_clock_says() {
    for step in steps() {
        let (mut bench, clock) = converged().await;
        bench.fake.disk().broken.insert("File:/b".into());
        bench.entry(2, json!({"/a": "1", "/b": "1"}));
        bench.reported(|status| status.summary.failed == 1).await;
        clock.set(step);
        bench.fake.disk().broken.clear();
        let began = Instant::now();
        bench.applied(2).await;
        assert!(began.elapsed() <= Duration::from_secs(2), "it took {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_lasts_as_long_as_was_said_whatever_the_clock_says() {
    const PAUSE: Duration = Duration::from_secs(600);
    for step in steps() {
        let (mut bench, clock) = converged().await;
        let begun = clock.clock().now().wall;
        let pause = Pause { begun: Some(begun), until: Some(begun.saturating_add(PAUSE)) };
        let began = Instant::now();
        bench.pause.send_replace(Some(pause));
        bench.entry(2, json!({"/a": "2"}));
        bench.reported(|status| status.summary.pending == 1).await;
        clock.set(step);
        bench.applied(2).await;
        let lasted = began.elapsed();
        assert!(lasted >= PAUSE && lasted < PAUSE + Duration::from_secs(5), "it lasted {lasted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_found_by_a_device_whose_clock_is_not_set_lasts_no_longer_than_was_said() {
    const PAUSE: Duration = Duration::from_secs(600);
    let clock = SteppedClock::default();
    let begun = clock.clock().now().wall;
    clock.set(Timestamp::UNIX_EPOCH);
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::start_with_clock(FakeReconciler::default(), folder, HOUR, &clock);
    bench.pause.send_replace(Some(Pause { begun: Some(begun), until: Some(begun.saturating_add(PAUSE)) }));
    bench.entry(1, json!({"/a": "1"}));
    let began = Instant::now();
    bench.applied(1).await;
    let lasted = began.elapsed();
    assert!(lasted < PAUSE + Duration::from_secs(5), "it lasted {lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_does_not_expire_and_stays_in_force_over_a_restart() {
    let (mut bench, clock) = converged().await;
    let entry = expiring(2, clock.clock().now().wall.saturating_add(HOUR), json!({"/a": "2"}));
    bench.entries.send_replace(entry.clone());
    bench.applied(2).await;
    clock.set(steps()[1]);
    bench.task.abort();
    bench = Bench::start_with_clock(bench.fake, bench.folder, HOUR, &clock);
    bench.entries.send_replace(entry);
    bench.fake.disk().contents.clear();
    let status = bench.reported(|status| status.summary.ready == 1).await;
    assert!(!is_expired(&status));
    assert_eq!(status.accepted.as_ref().map(|accepted| accepted.generation.get()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_only_a_wrong_clock_calls_expired_is_accepted_when_the_clock_is_set() {
    let (mut bench, clock) = converged().await;
    let today = clock.clock().now().wall;
    clock.set(steps()[1]);
    bench.entries.send_replace(expiring(2, today.saturating_add(YEARS / 2), json!({"/a": "2"})));
    bench.reported(is_expired).await;
    clock.set(today);
    bench.applied(2).await;

    // One that has expired is not judged again and again.
    bench.entries.send_replace(expiring(3, Timestamp::UNIX_EPOCH, json!({"/a": "3"})));
    bench.reported(is_expired).await;
    sleep(HOUR).await;
    assert!(!bench.reports.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_may_be_over_is_taken_or_refused_by_a_clock_that_was_never_set_as_the_policy_says() {
    let accepted = |status: &AgentStatus| status.condition(ConditionType::Accepted).unwrap().clone();
    for unset_clock in [Tolerance::Tolerated, Tolerance::Refused] {
        let clock = SteppedClock::default();
        let today = clock.clock().now().wall;
        clock.set(Timestamp::UNIX_EPOCH);
        let (fake, folder) = (FakeReconciler::default(), tempfile::tempdir().unwrap());
        let rules = Policy { unset_clock, ..Policy::default() };
        let mut bench = Bench::start_with(fake, folder, DRIFT_INTERVAL, &clock, rules);
        // What never expires needs no clock.
        bench.entry(1, json!({"/a": "1"}));
        let status = bench.applied(1).await;
        assert_eq!(accepted(&status).message, "");

        bench.entries.send_replace(expiring(2, today.saturating_add(YEARS), json!({"/a": "2"})));
        match unset_clock {
            Tolerance::Tolerated => {
                let status = bench.applied(2).await;
                assert!(accepted(&status).message.contains("clock is not set"), "{status:?}");
            }
            Tolerance::Refused => {
                let status = bench.reported(is_expired).await;
                assert!(accepted(&status).message.contains("unsetClock"), "{status:?}");
                clock.set(today);
                let status = bench.applied(2).await;
                assert_eq!(accepted(&status).message, "");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_is_not_set_that_says_an_earlier_time_than_the_document_in_force_was_issued() {
    let clock = SteppedClock::default();
    let today = clock.clock().now().wall;
    let (fake, folder) = (FakeReconciler::default(), tempfile::tempdir().unwrap());
    let rules = Policy { unset_clock: Tolerance::Refused, ..Policy::default() };
    let mut bench = Bench::start_with(fake, folder, DRIFT_INTERVAL, &clock, rules);
    let issued = |generation: u64, issued_at: Timestamp| {
        let document = json!({
            "apiVersion": "harmony/v1", "kind": "Fake", "schemaVersion": "1.0.0", "spec": {},
            "metadata": {
                "name": "edge-1", "generation": generation,
                "issuedAt": issued_at, "expiresAt": today.saturating_add(YEARS),
            },
        });
        Some(Entry::Present { revision: generation, value: document.to_string().into() })
    };
    bench.entries.send_replace(issued(1, today));
    bench.applied(1).await;
    clock.set(today.saturating_add(HOUR));
    bench.entries.send_replace(issued(2, today.saturating_add(HOUR)));
    bench.applied(2).await;
    // Set back by less than an hour, but to before what it has in force was made.
    clock.set(today.saturating_add(HOUR / 2));
    bench.entries.send_replace(issued(3, today));
    bench.reported(is_expired).await;
}
