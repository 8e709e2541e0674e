//! Which document is in force after another, and whether the one before it is kept to go back to. Pure.
//!
//! ```text
//!            newer, with a deadline          converged
//! converged ────────────────────────▶ trial ───────────▶ converged: nothing is kept
//!     ▲                                 │
//!     └────────── time is up ───────────┘ rolled back: `highest` stays, so that only a newer one comes after it
//! ```
//!
//! An agent that knows nothing of this may have written the ledger in between, and carried along what it did not
//! know. So nothing here holds by itself, but only beside the documents that it is about.

use std::time::Duration;

use agent_model::{Digest, Timestamp, status::RolledBack};
use serde::{Deserialize, Serialize};

use super::{AcceptedDocument, LedgerBody};
use crate::envelope::HighWaterMark;

/// The longest that a document gets that had no time left when its agent was started.
const LAST_TRY: Duration = Duration::from_secs(60);
/// So many starts of the agent may lie between the acceptance of a document and its time. One that starts the device
/// anew again and again would otherwise have its whole time each time, where the clock does not go on meanwhile.
const STARTS: u32 = 8;

/// A clock that is off by no more than this was not set: it is corrected bit by bit.
const CORRECTION: Duration = Duration::from_secs(10);

/// How long the document in force has to converge before the device goes back to the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The document.
    pub digest: Digest,
    /// How long it has in all, in milliseconds.
    pub deadline_ms: u64,
    /// When its time is up; `None` while a pause holds it.
    pub ends: Option<Timestamp>,
    /// How often the agent was started since.
    pub starts: u32,
    /// Whether its time was up at one of these starts, so that it got some more, once.
    pub last_try: bool,
}

impl Trial {
    /// That of a document that is put in force now.
    fn of(digest: Digest, deadline: Duration, now: Timestamp, paused: bool) -> Self {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let ends = (!paused).then(|| now.saturating_add(deadline));
        Self { digest, deadline_ms, ends, starts: 0, last_try: false }
    }

    /// How long the document has in all.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// The same while a pause holds it: after that it has its whole time again.
    pub(crate) fn held(&self) -> Self {
        Self { ends: None, starts: 0, last_try: false, ..self.clone() }
    }

    /// The same by a clock that says `now`, while so much time is left. What was noted by a clock that has been set
    /// since would have the time be over too early or too late after the next start.
    pub(crate) fn kept(&self, now: Timestamp, left: Duration) -> Self {
        let ends = self.ends.filter(|ends| ends.since(now).abs_diff(left) <= CORRECTION);
        Self { ends: ends.or(Some(now.saturating_add(left))), ..self.clone() }
    }

    /// How it goes on by a clock that says `now`, after a start of the agent or a pause, and how much time is left.
    /// That is never more than the whole, whatever became of the clock. Where it is none the document gets a last
    /// try: the device was off, and its program could do nothing.
    pub(crate) fn taken_up(&self, now: Timestamp) -> (Self, Duration) {
        let until = |left: Duration| Some(now.saturating_add(left));
        let Some(ends) = self.ends else {
            let left = self.deadline();
            return (Self { ends: until(left), ..self.clone() }, left);
        };
        let last_try = self.deadline().min(LAST_TRY);
        let whole = if self.last_try { last_try } else { self.deadline() };
        let starts = self.starts.saturating_add(1);
        let left = ends.since(now).min(whole);
        let noted = Self { starts, ..self.clone() };
        match starts <= STARTS {
            false => (noted, Duration::ZERO),
            true if left.is_zero() && !self.last_try => {
                (Self { ends: until(last_try), last_try: true, ..noted }, last_try)
            }
            true => (noted, left),
        }
    }
}

impl LedgerBody {
    /// This with a newer document in force, which is to converge within that time.
    pub(crate) fn succeeded_by(
        self,
        document: AcceptedDocument,
        deadline: Option<Duration>,
        now: Timestamp,
        paused: bool,
    ) -> Self {
        let highest = Some(HighWaterMark { generation: document.generation, digest: Some(document.digest) });
        let digest = document.digest;
        let before = self.accepted.as_ref().map(|before| before.digest);
        if before == Some(digest) {
            // The same content, with a signature by now: what a newer agent noted about it holds.
            let unknown = self.accepted.map(|before| before.unknown).unwrap_or_default();
            let accepted = Some(AcceptedDocument { unknown, ..document });
            return Self { highest, accepted, ..self };
        }
        let has_converged = before.is_some() && before == self.applied.as_ref().map(|applied| applied.digest);
        let fallback = if has_converged { self.accepted.clone() } else { self.way_back().cloned() };
        let fallback = fallback.filter(|fallback| fallback.digest != digest);
        let deadline = deadline.filter(|_| fallback.is_some());
        let trial = deadline.map(|deadline| Trial::of(digest, deadline, now, paused));
        Self { highest, accepted: Some(document), fallback, trial, rolled_back: None, ..self }
    }

    /// This with the last document that converged in force again.
    pub(crate) fn gone_back_to(self, document: AcceptedDocument, rolled_back: RolledBack) -> Self {
        // That a time is past for certain is not forgotten with the late document, if it is believed as much.
        let believed = self.accepted.filter(|late| late.signer.is_some() || document.signer.is_none());
        let issued_at = document.issued_at.max(believed.and_then(|late| late.issued_at));
        let document = AcceptedDocument { issued_at, ..document };
        // It may have been forgotten meanwhile, and the late document would be a new one.
        let late = HighWaterMark { generation: rolled_back.generation, digest: Some(rolled_back.digest) };
        let highest = self.highest.filter(|highest| highest.generation > late.generation).or(Some(late));
        let rolled_back = Some(rolled_back);
        Self { highest, accepted: Some(document), fallback: None, trial: None, rolled_back, ..self }
    }

    /// This with the document in force having converged: whatever becomes of it, nobody goes back from it any more.
    pub(crate) fn settled(self) -> Self {
        Self { fallback: None, trial: None, ..self }
    }

    /// The last document that converged, if another one is in force.
    pub fn way_back(&self) -> Option<&AcceptedDocument> {
        let (fallback, applied) = (self.fallback.as_ref()?, self.applied.as_ref()?);
        let accepted = self.accepted.as_ref()?;
        (fallback.digest == applied.digest && fallback.digest != accepted.digest).then_some(fallback)
    }

    /// How long the document in force has, if there is one to go back to.
    pub fn running_trial(&self) -> Option<&Trial> {
        self.way_back()?;
        self.trial.as_ref().filter(|trial| self.accepted.as_ref().is_some_and(|it| it.digest == trial.digest))
    }

    /// The document from which the device went back to the one in force.
    pub fn gone_back_from(&self) -> Option<&RolledBack> {
        let accepted = self.accepted.as_ref()?;
        let is_newest = |digest| self.highest.is_none_or(|highest| highest.digest == Some(digest));
        self.rolled_back.as_ref().filter(|it| is_newest(it.digest) && it.digest != accepted.digest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Some time into an age, so that a clock can also be set back.
    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(1_000_000 + seconds))
    }

    fn trial(minutes: u32) -> Trial {
        Trial::of(Digest::of_bytes(b""), MINUTE * minutes, at(0), false)
    }

    #[test]
    fn a_start_goes_on_with_what_is_left_by_the_clock() {
        let (noted, left) = trial(5).taken_up(at(120));
        assert_eq!((left, noted.ends, noted.last_try), (MINUTE * 3, Some(at(300)), false));
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_the_whole_time_and_no_more() {
        for now in [Timestamp::UNIX_EPOCH, at(0)] {
            assert_eq!(trial(5).taken_up(now).1, MINUTE * 5);
        }
    }

    #[test]
    fn a_start_after_the_time_gives_one_more_try_and_no_second_one() {
        let (noted, left) = trial(5).taken_up(at(9000));
        assert_eq!((left, noted.ends, noted.last_try), (MINUTE, Some(at(9060)), true));
        assert_eq!(noted.taken_up(at(9050)).1, Duration::from_secs(10));
        assert_eq!(noted.taken_up(at(9060)).1, Duration::ZERO);
        assert_eq!(noted.taken_up(at(0)).1, MINUTE, "whatever the clock says");

        let short = Trial { deadline_ms: 2000, ..trial(5) };
        assert_eq!(short.taken_up(at(9000)).1, Duration::from_secs(2));
    }

    #[test]
    fn after_a_pause_the_time_is_whole_again_also_where_the_agent_was_started_since() {
        let (used, _) = trial(5).taken_up(at(9000));
        let (noted, left) = used.held().taken_up(at(20_000));
        assert_eq!((left, noted.ends, noted.last_try), (MINUTE * 5, Some(at(20_300)), false));
    }

    proptest! {
        #[test]
        fn whatever_the_clock_says_at_each_start_the_time_is_up_after_a_bounded_number_of_them(
            minutes in 1..100_u32, clocks in proptest::collection::vec(0..2_000_000_u64, 9),
        ) {
            let whole = MINUTE * minutes;
            let mut trial = trial(minutes);
            let mut lefts = Vec::new();
            for seconds in clocks {
                let now = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(seconds));
                let (noted, left) = trial.taken_up(now);
                trial = noted;
                lefts.push(left);
            }
            prop_assert!(lefts.iter().all(|left| *left <= whole));
            prop_assert_eq!(lefts[8], Duration::ZERO);
        }
    }
}
