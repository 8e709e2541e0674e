use super::*;
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

const RESYNC: Duration = Duration::from_secs(3600);

fn offline(now: Instant) -> ReadSchedule<StdRng> {
    ReadSchedule::new(RESYNC, StdRng::seed_from_u64(1), now)
}

fn connected(now: Instant) -> ReadSchedule<StdRng> {
    let mut schedule = offline(now);
    schedule.connected(now);
    schedule
}

/// Reads when the schedule says so, and gives when that was and what it meant.
fn read(schedule: &mut ReadSchedule<StdRng>, now: Instant, revision: u64) -> (Instant, Freshness) {
    let at = schedule.next_read().unwrap().max(now);
    schedule.begin(at);
    assert_eq!(schedule.next_read(), None, "two reads at once");
    (at, schedule.succeeded(at, revision))
}

fn is_resync(next: Option<Instant>, now: Instant) -> bool {
    next.is_some_and(|next| (RESYNC.mul_f64(0.75)..RESYNC.mul_f64(1.25)).contains(&(next - now)))
}

#[test]
fn nothing_is_read_offline_and_after_each_connect_at_once_and_once_more_when_it_has_settled() {
    let mut now = Instant::now();
    let mut schedule = offline(now);
    schedule.hint(now, Some(7));
    assert_eq!(schedule.next_read(), None);
    for _ in 0..2 {
        schedule.connected(now);
        assert_eq!(schedule.next_read(), Some(now));
        read(&mut schedule, now, 7);
        let again = schedule.next_read().unwrap();
        assert!((SETTLING.mul_f64(0.75)..SETTLING.mul_f64(1.25)).contains(&(again - now)));
        read(&mut schedule, again, 7);
        assert!(is_resync(schedule.next_read(), again));
        now = again;
        schedule.disconnected();
        assert_eq!(schedule.next_read(), None);
    }
}

#[test]
fn a_reconnect_during_a_read_begins_another() {
    let now = Instant::now();
    let mut schedule = connected(now);
    schedule.begin(now);
    schedule.disconnected();
    schedule.connected(now);
    assert_eq!(schedule.next_read(), Some(now));
}

#[test]
fn a_resync_comes_about_every_interval_when_nothing_else_happens() {
    let mut now = Instant::now();
    let mut schedule = connected(now);
    (now, _) = read(&mut schedule, now, 7);
    for _ in 0..20 {
        let (at, freshness) = read(&mut schedule, now, 7);
        assert_eq!(freshness, Freshness::Current);
        assert!(is_resync(schedule.next_read(), at));
        now = at;
    }
}

#[test]
fn hints_during_a_read_lead_to_one_more_read() {
    let now = Instant::now();
    let mut schedule = connected(now);
    schedule.begin(now);
    for sequence in 1..=100 {
        schedule.hint(now, Some(sequence));
    }
    schedule.succeeded(now, 1);
    assert_eq!(schedule.next_read(), Some(now));
    assert_eq!(read(&mut schedule, now, 100).1, Freshness::Current);
    assert!(is_resync(schedule.next_read(), now));
}

#[test]
fn a_hint_without_a_readable_sequence_is_still_a_hint() {
    let now = Instant::now();
    let mut schedule = connected(now);
    read(&mut schedule, now, 7);
    schedule.hint(now, None);
    assert_eq!(schedule.next_read(), Some(now));
    assert_eq!(read(&mut schedule, now, 7).1, Freshness::Current);
}

#[test]
fn a_read_behind_its_hint_is_repeated_until_it_catches_up() {
    let now = Instant::now();
    let mut schedule = connected(now);
    read(&mut schedule, now, 7);
    schedule.hint(now, Some(8));
    let (mut at, freshness) = read(&mut schedule, now, 7);
    assert_eq!(freshness, Freshness::Behind);
    for _ in 0..5 {
        assert!(schedule.next_read().unwrap() <= at + WHILE_BEHIND.longest);
        let (next, freshness) = read(&mut schedule, at, 7);
        assert_eq!(freshness, Freshness::Behind);
        at = next;
    }
    assert_eq!(read(&mut schedule, at, 8).1, Freshness::Current);
    assert!(is_resync(schedule.next_read(), at));
}

#[test]
fn a_hint_of_a_revision_that_never_comes_costs_nine_reads() {
    let mut now = Instant::now();
    let mut schedule = connected(now);
    read(&mut schedule, now, 7);
    schedule.hint(now, Some(u64::MAX));
    let mut outcomes = Vec::new();
    while !is_resync(schedule.next_read(), now) {
        let (at, freshness) = read(&mut schedule, now, 7);
        now = at;
        outcomes.push(freshness);
    }
    let mut expected = vec![Freshness::Behind; RETRIES_WHILE_BEHIND as usize];
    expected.push(Freshness::GivenUp { expected: u64::MAX });
    assert_eq!(outcomes, expected);
    // And it is forgotten: the next true hint is believed again.
    schedule.hint(now, Some(8));
    assert_eq!(read(&mut schedule, now, 8).1, Freshness::Current);
}

#[test]
fn a_lower_revision_than_before_is_looked_at_again_and_then_believed() {
    let mut now = Instant::now();
    let mut schedule = connected(now);
    read(&mut schedule, now, 8812);
    schedule.connected(now);
    assert_eq!(read(&mut schedule, now, 3).1, Freshness::Behind);
    while !is_resync(schedule.next_read(), now) {
        now = read(&mut schedule, now, 3).0;
    }
    schedule.hint(now, Some(4));
    assert_eq!(read(&mut schedule, now, 4).1, Freshness::Current);
}

#[test]
fn failed_reads_are_repeated_with_growing_pauses_and_a_connect_starts_afresh() {
    let mut now = Instant::now();
    let mut schedule = connected(now);
    let mut pauses = Vec::new();
    for in_a_row in 1..=40 {
        schedule.begin(now);
        assert_eq!(schedule.failed(now), in_a_row);
        let next = schedule.next_read().unwrap();
        pauses.push(next - now);
        now = next;
    }
    assert!(pauses[0] <= Duration::from_millis(500));
    assert!(pauses.iter().all(|pause| *pause <= AFTER_FAILURE.longest));
    let late: Duration = pauses[10..].iter().sum();
    assert!(late > Duration::from_secs(60 * 10), "{late:?}: the pauses did not grow");
    schedule.connected(now);
    schedule.begin(now);
    assert_eq!(schedule.failed(now), 1);
}

/// What can happen between two reads.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Hint(Option<u64>),
    Reconnect,
    Fail,
    Write,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        proptest::option::of(prop_oneof![0_u64..50, Just(u64::MAX)]).prop_map(Happening::Hint),
        Just(Happening::Reconnect),
        Just(Happening::Fail),
        Just(Happening::Write),
    ]
}

proptest! {
    /// Whatever is forged or fails, the reads stay within their budget; and once all is calm, a
    /// write that was hinted at is read before long, and then nothing but the resync is left.
    #[test]
    fn reads_stay_within_their_budget_and_the_last_write_is_always_read(
        happenings in proptest::collection::vec((0_u64..400, happening()), 1..150),
        seed in any::<u64>(),
    ) {
        let mut now = Instant::now();
        let mut schedule = ReadSchedule::new(RESYNC, StdRng::seed_from_u64(seed), now);
        schedule.connected(now);
        let mut stored = 1;
        let mut reads: Vec<Instant> = Vec::new();
        let mut fails = false;
        for (pause, happening) in happenings {
            let until = now + Duration::from_millis(pause);
            while let Some(at) = schedule.next_read().filter(|at| *at <= until) {
                now = now.max(at);
                schedule.begin(now);
                reads.push(now);
                if std::mem::take(&mut fails) {
                    schedule.failed(now);
                } else {
                    schedule.succeeded(now, stored);
                }
            }
            now = until;
            match happening {
                Happening::Hint(sequence) => schedule.hint(now, sequence),
                Happening::Reconnect => {
                    schedule.disconnected();
                    schedule.connected(now);
                }
                Happening::Fail => fails = true,
                Happening::Write => stored += 1,
            }
        }
        for (first, start) in reads.iter().enumerate() {
            for (last, end) in reads.iter().enumerate().skip(first) {
                let allowed = 10 + (*end - *start).as_millis() / 100;
                prop_assert!((last - first + 1) as u128 <= allowed);
            }
        }

        stored += 1;
        schedule.hint(now, Some(stored));
        let mut left = 0;
        let mut seen = 0;
        while !is_resync(schedule.next_read(), now) {
            let at = schedule.next_read().unwrap().max(now);
            prop_assert!(at - now <= Duration::from_secs(60));
            now = at;
            schedule.begin(now);
            schedule.succeeded(now, stored);
            seen = stored;
            left += 1;
            prop_assert!(left <= 1 + RETRIES_WHILE_BEHIND, "reads go on for ever");
        }
        prop_assert_eq!(seen, stored);
    }
}
