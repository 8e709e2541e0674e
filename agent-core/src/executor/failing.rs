//! Which claims are failing, since when, and when each is tried again.

use std::{collections::BTreeMap, time::Duration};

use agent_model::{Claim, Digest, Failure, Retry, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use crate::{backoff::Backoff, clock::Moment};

/// So many repairs in a row are made at once.
const REPAIRS_AT_ONCE: u64 = 8;
/// After so long without a repair the next one is the first in a row again.
const QUIET: Duration = Duration::from_secs(600);

/// One failing claim.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    /// What went wrong last.
    pub(super) failure: Failure,
    /// Failures in a row.
    pub(super) attempts: u64,
    /// When it is tried again by itself; `None` when only a change helps.
    pub(super) next: Option<(Instant, Timestamp)>,
    /// Where it failed.
    stage: Stage,
    /// What was wanted when it failed; `None` for a removal.
    digest: Option<Digest>,
}

/// Where a claim failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// What is there makes a plan impossible. As soon as a look shows otherwise, the plan is
    /// carried out without waiting.
    Planning,
    /// A step failed. A look shows nothing about whether it would succeed now.
    Applying,
}

/// All failing claims. Each backs off alone.
#[derive(Debug)]
pub(super) struct FailingClaims {
    claims: BTreeMap<Claim, Failing>,
    /// Claims that were repaired lately: how often in a row, and when last.
    repairs: BTreeMap<Claim, (u64, Instant)>,
    random: StdRng,
}

impl FailingClaims {
    pub(super) fn new(seed: u64) -> Self {
        Self { claims: BTreeMap::new(), repairs: BTreeMap::new(), random: StdRng::seed_from_u64(seed) }
    }

    /// The failure that keeps the steps of `claim` from being tried at `now`, if it is too early.
    /// A claim of which something else is wanted by now is tried at once.
    pub(super) fn too_early(&self, claim: &Claim, wanted: Option<Digest>, now: Moment) -> Option<&Failing> {
        self.waiting(claim, wanted, now).filter(|failing| failing.stage == Stage::Applying)
    }

    /// Whether it failed for that reason last, and for the same that is wanted.
    pub(super) fn fails_with(&self, claim: &Claim, wanted: Option<Digest>, reason: &str) -> bool {
        let failing = self.claims.get(claim).filter(|failing| failing.digest == wanted);
        failing.is_some_and(|failing| failing.failure.reason == reason)
    }

    fn waiting(&self, claim: &Claim, wanted: Option<Digest>, now: Moment) -> Option<&Failing> {
        self.claims
            .get(claim)
            .filter(|failing| failing.digest == wanted)
            .filter(|failing| failing.next.is_none_or(|(next, _)| next > now.monotonic))
    }

    /// Notes a failure, unless it is the same one seen again before its time.
    pub(super) fn failed(
        &mut self,
        claim: &Claim,
        wanted: Option<Digest>,
        stage: Stage,
        failure: Failure,
        now: Moment,
    ) -> &Failing {
        let repeated = self.claims.get(claim).filter(|failing| failing.digest == wanted);
        let seen_again = self
            .waiting(claim, wanted, now)
            .is_some_and(|failing| failing.failure.reason == failure.reason && failing.stage == stage);
        let (attempts, next) = match (repeated, failure.retry) {
            (_, Retry::After { delay, attempts }) => (attempts, Some(in_time(delay, now))),
            (Some(failing), _) if seen_again && stage == Stage::Planning => (failing.attempts, failing.next),
            (repeated, retry) => {
                let attempts = repeated.map_or(0, |failing| failing.attempts).saturating_add(1);
                let delay = Backoff::RESOURCE.delay(attempts, self.random.random());
                (attempts, (retry == Retry::WithBackoff).then(|| in_time(delay, now)))
            }
        };
        let failing = Failing { failure, attempts, next, stage, digest: wanted };
        self.claims.entry(claim.clone()).insert_entry(failing).into_mut()
    }

    /// Notes that something was altered back. Whoever alters the same thing again and again does
    /// not get it repaired each time at once: the pauses grow as those after failures do.
    pub(super) fn repaired(&mut self, claim: &Claim, wanted: Option<Digest>, now: Moment) {
        self.claims.remove(claim);
        let before = self.repairs.get(claim).filter(|(_, last)| now.monotonic - *last < QUIET);
        let in_a_row = before.map_or(0, |(count, _)| *count) + 1;
        self.repairs.insert(claim.clone(), (in_a_row, now.monotonic));
        if let Some(excess @ 1..) = in_a_row.checked_sub(REPAIRS_AT_ONCE) {
            let delay = Backoff::RESOURCE.delay(excess, self.random.random());
            let failure = Failure::passing(
                "RepeatedDrift",
                format!(
                    "something alters it again and again; it was repaired {in_a_row} times in a row, and not at once this time; find out who does it"
                ),
            );
            let next = Some(in_time(delay, now));
            let failing = Failing { failure, attempts: 0, next, stage: Stage::Applying, digest: wanted };
            self.claims.insert(claim.clone(), failing);
        }
    }

    /// Notes that a claim is failing no longer.
    pub(super) fn recovered(&mut self, claim: &Claim) {
        self.claims.remove(claim);
    }

    /// Forgets claims that nobody makes any more.
    pub(super) fn retain(&mut self, claimed: impl Fn(&Claim) -> bool) {
        self.claims.retain(|claim, _| claimed(claim));
        self.repairs.retain(|claim, _| claimed(claim));
    }

    /// When the next one is due.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.claims.values().filter_map(|failing| failing.next).map(|(next, _)| next).min()
    }
}

fn in_time(delay: Duration, now: Moment) -> (Instant, Timestamp) {
    (now.monotonic + delay, now.wall.saturating_add(delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        "File:/a".parse().unwrap()
    }

    fn moment(seconds: u64, start: Instant) -> Moment {
        let passed = Duration::from_secs(seconds);
        Moment { wall: Timestamp::UNIX_EPOCH.saturating_add(passed), monotonic: start + passed }
    }

    fn failure() -> Failure {
        Failure::passing("Busy", "busy")
    }

    fn digest(text: &str) -> Option<Digest> {
        Some(Digest::of_bytes(text.as_bytes()))
    }

    #[test]
    fn a_failed_step_waits_for_its_time_and_every_try_counts() {
        let (mut failing, start) = (FailingClaims::new(1), Instant::now());
        for (second, attempts) in [(0, 1), (10, 2), (20, 3)] {
            assert!(failing.too_early(&claim(), digest("1"), moment(second, start)).is_none());
            let noted =
                failing.failed(&claim(), digest("1"), Stage::Applying, failure(), moment(second, start));
            assert_eq!(noted.attempts, attempts);
            assert!(failing.too_early(&claim(), digest("1"), moment(second, start)).is_some());
        }
        failing.recovered(&claim());
        assert_eq!(failing.next_retry(), None);
    }

    #[test]
    fn looking_again_before_the_time_is_no_attempt_and_keeps_nothing_from_being_done() {
        let (mut failing, start) = (FailingClaims::new(1), Instant::now());
        for (second, attempts) in [(0, 1), (0, 1), (10, 2), (10, 2)] {
            let noted =
                failing.failed(&claim(), digest("1"), Stage::Planning, failure(), moment(second, start));
            assert_eq!(noted.attempts, attempts);
        }
        assert!(failing.too_early(&claim(), digest("1"), moment(10, start)).is_none());
    }

    #[test]
    fn something_else_wanted_is_tried_at_once_and_counted_anew() {
        let (mut failing, start) = (FailingClaims::new(1), Instant::now());
        for second in [0, 10, 20] {
            failing.failed(&claim(), digest("1"), Stage::Applying, failure(), moment(second, start));
        }
        assert!(failing.too_early(&claim(), digest("2"), moment(20, start)).is_none());
        let noted = failing.failed(&claim(), digest("2"), Stage::Applying, failure(), moment(20, start));
        assert_eq!(noted.attempts, 1);
    }

    #[test]
    fn a_reconciler_that_keeps_its_own_time_and_count_is_followed() {
        let (mut failing, start) = (FailingClaims::new(1), Instant::now());
        for (second, left) in [(0, 8), (5, 3)] {
            let retry = Retry::After { delay: Duration::from_secs(left), attempts: 4 };
            let failure = Failure { retry, ..failure() };
            let now = moment(second, start);
            let noted = failing.failed(&claim(), digest("1"), Stage::Planning, failure, now);
            assert_eq!(
                (noted.attempts, noted.next.map(|(at, _)| at)),
                (4, Some(start + Duration::from_secs(8)))
            );
        }
    }

    #[test]
    fn what_only_a_change_can_help_has_no_next_try() {
        let (mut failing, start) = (FailingClaims::new(1), Instant::now());
        let lasting = Failure::lasting("Refused", "refused");
        let noted = failing.failed(&claim(), None, Stage::Applying, lasting, moment(0, start));
        assert!(noted.next.is_none());
        assert!(failing.too_early(&claim(), None, moment(9999, start)).is_some());
    }
}
