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

/// Over a link that was made long ago.
fn settled(now: Instant) -> ReadSchedule<StdRng> {
    let mut schedule = connected(now);
    schedule.settling = Settling::Over;
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
    let mut schedule = settled(now);
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
    let mut schedule = settled(now);
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
fn a_hint_of_a_revision_that_never_comes_costs_thirteen_reads() {
    let mut now = Instant::now();
    let mut schedule = settled(now);
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
fn what_lags_is_read_again_for_longer_than_an_election_takes_whatever_is_drawn() {
    for seed in 0..200 {
        let start = Instant::now();
        let mut schedule = ReadSchedule::new(RESYNC, StdRng::seed_from_u64(seed), start);
        schedule.connected(start);
        schedule.settling = Settling::Over;
        read(&mut schedule, start, 7);
        schedule.hint(start, Some(8));
        let (mut at, mut freshness) = read(&mut schedule, start, 7);
        while freshness == Freshness::Behind {
            (at, freshness) = read(&mut schedule, at, 7);
        }
        let minutes = (at - start).as_secs() / 60;
        assert!((8..=17).contains(&minutes), "given up after {minutes} min");
    }
}

#[test]
fn a_lower_revision_than_before_is_doubted_for_some_reads_and_then_believed() {
    let mut now = Instant::now();
    let mut schedule = settled(now);
    read(&mut schedule, now, 8812);
    schedule.connected(now);
    let mut outcomes = Vec::new();
    while !is_resync(schedule.next_read(), now) {
        let freshness;
        (now, freshness) = read(&mut schedule, now, 3);
        outcomes.push(freshness);
    }
    assert_eq!(outcomes[..4], [[Freshness::Doubtful; 3].as_slice(), &[Freshness::Behind]].concat());
    assert_eq!(outcomes.last(), Some(&Freshness::GivenUp { expected: 8812 }));
    schedule.hint(now, Some(4));
    assert_eq!(read(&mut schedule, now, 4).1, Freshness::Current);
}

#[test]
fn a_true_hint_is_pursued_within_seconds_whatever_number_was_forged_before() {
    let mut now = Instant::now();
    let mut schedule = settled(now);
    read(&mut schedule, now, 7);
    schedule.hint(now, Some(u64::MAX));
    for _ in 0..10 {
        (now, _) = read(&mut schedule, now, 7);
    }
    schedule.hint(now, Some(8));
    let (at, freshness) = read(&mut schedule, now, 7);
    assert_eq!(freshness, Freshness::Behind, "a replica lags for a moment");
    let again = schedule.next_read().unwrap() - at;
    assert!(again <= WHILE_BEHIND.first * 16, "{again:?}");
}

#[test]
fn hints_without_end_that_announce_what_never_comes_cost_nine_reads_a_minute_at_most() {
    let mut now = Instant::now();
    let mut schedule = settled(now);
    (now, _) = read(&mut schedule, now, 7);
    let begin = now;
    let mut reads = 0;
    while now - begin < Duration::from_secs(3000) {
        schedule.hint(now, Some(u64::MAX));
        while let Some(at) = schedule.next_read().filter(|at| *at <= now) {
            read(&mut schedule, at.max(now), 7);
            reads += 1;
        }
        now += Duration::from_millis(200);
    }
    assert!(reads <= 450, "{reads} reads in 50 minutes");
}

#[test]
fn doubt_does_not_hang_on_what_was_announced_before() {
    let mut now = Instant::now();
    let mut schedule = settled(now);
    (now, _) = read(&mut schedule, now, 8);
    schedule.hint(now, Some(u64::MAX));
    for _ in 0..6 {
        (now, _) = read(&mut schedule, now, 8);
    }
    assert_eq!(read(&mut schedule, now, 7).1, Freshness::Doubtful);
}

#[test]
fn a_rebuilt_bucket_is_believed_within_seconds_whatever_number_was_forged_before() {
    let mut now = Instant::now();
    let mut schedule = settled(now);
    (now, _) = read(&mut schedule, now, 8);
    schedule.hint(now, Some(u64::MAX));
    for _ in 0..10 {
        (now, _) = read(&mut schedule, now, 8);
    }
    schedule.connected(now);
    schedule.settling = Settling::Over;
    let start = now;
    let mut freshness = Freshness::Doubtful;
    while freshness == Freshness::Doubtful {
        (now, freshness) = read(&mut schedule, now, 1);
    }
    assert_eq!(freshness, Freshness::Behind);
    assert!(now - start <= Duration::from_secs(4), "{:?}", now - start);
}

#[test]
fn a_replica_that_lags_for_a_moment_changes_nothing() {
    let mut now = Instant::now();
    let mut schedule = settled(now);
    read(&mut schedule, now, 8);
    schedule.connected(now);
    schedule.settling = Settling::Over;
    let freshness;
    (now, freshness) = read(&mut schedule, now, 7);
    assert_eq!(freshness, Freshness::Doubtful);
    assert_eq!(read(&mut schedule, now, 8).1, Freshness::Current);
    assert!(is_resync(schedule.next_read(), now + Duration::from_millis(250)));
}

#[test]
fn a_link_that_has_settled_is_read_over_once_more_whatever_was_read_before() {
    for before in ["nothing", "failures", "a replica that lags", "a hint"] {
        let mut now = Instant::now();
        let mut schedule = connected(now);
        if before == "failures" {
            for _ in 0..10 {
                schedule.begin(now);
                schedule.failed(now);
                now = schedule.next_read().unwrap();
            }
        }
        // Until its first answer a link is no older.
        let start = now;
        match before {
            "a replica that lags" => {
                schedule.hint(now, Some(8));
                (now, _) = read(&mut schedule, now, 7);
            }
            "a hint" => {
                read(&mut schedule, now, 7);
                schedule.hint(now, Some(8));
            }
            _ => {}
        }
        let mut reads = Vec::new();
        while !is_resync(schedule.next_read(), now) {
            (now, _) = read(&mut schedule, now, 8);
            reads.push(now - start);
        }
        let last = reads.pop().unwrap();
        assert!((SETTLING.mul_f64(0.75)..SETTLING.mul_f64(1.25)).contains(&last), "{before}: {last:?}");
        assert!(reads.iter().all(|read| *read < SETTLING.mul_f64(0.75)), "{before}: {reads:?}");
    }
}

#[test]
fn hints_without_end_that_hint_at_nothing_cost_two_reads_a_minute() {
    let mut now = Instant::now();
    let mut schedule = settled(now);
    (now, _) = read(&mut schedule, now, 7);
    let begin = now;
    let mut reads = 0;
    while now - begin < Duration::from_secs(3000) {
        schedule.hint(now, Some(7));
        while let Some(at) = schedule.next_read().filter(|at| *at <= now) {
            read(&mut schedule, at.max(now), 7);
            reads += 1;
        }
        now += Duration::from_millis(200);
    }
    assert!((100..=121).contains(&reads), "{reads} reads");
    // A true one among them waits for no longer than half a minute.
    schedule.hint(now, Some(8));
    let (at, freshness) = read(&mut schedule, now, 8);
    assert!(at - now <= FRUITLESS_INTERVAL && freshness == Freshness::Current);
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
        let mut answered: Option<Instant> = None;
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
                    answered = answered.or(Some(now));
                }
            }
            now = until;
            match happening {
                Happening::Hint(sequence) => schedule.hint(now, sequence),
                Happening::Reconnect => {
                    schedule.disconnected();
                    schedule.connected(now);
                    answered = None;
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
            prop_assert!(at - now <= WHILE_BEHIND.longest);
            now = at;
            schedule.begin(now);
            schedule.succeeded(now, stored);
            answered = answered.or(Some(now));
            seen = stored;
            left += 1;
            reads.push(now);
            prop_assert!(left <= 2 + RETRIES_WHILE_BEHIND, "reads go on for ever");
        }
        prop_assert_eq!(seen, stored);
        let settled = answered.unwrap() + SETTLING.mul_f64(0.75);
        prop_assert!(reads.iter().any(|read| *read >= settled), "no read over the settled link");
    }
}
