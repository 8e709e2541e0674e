//! Whether the time is over that a document or a key names, on a device whose clock may never have been set.

use agent_model::Timestamp;
use time::macros::datetime;

use crate::policy::Tolerance;

/// What a device's clock says when a document is judged, and what that is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    now: Timestamp,
    is_set: bool,
    unset: Tolerance,
}

impl Present {
    /// By a clock that says `now`, while `past` is over for certain. A clock that says an earlier time was never
    /// set, or was set back; `unset` is the policy's rule for that.
    pub fn new(now: Timestamp, past: Option<Timestamp>, unset: Tolerance) -> Self {
        // No device had an agent before.
        let earliest = Timestamp::from(datetime!(2026-01-01 00:00 UTC));
        Self { now, is_set: now >= earliest && past.is_none_or(|past| now >= past), unset }
    }

    /// What the clock says.
    pub fn now(self) -> Timestamp {
        self.now
    }

    /// Whether that can be true.
    pub fn is_set(self) -> bool {
        self.is_set
    }

    /// Why nothing is taken any more that is good until then, as half a sentence; `None` while it is.
    pub(crate) fn refuses(self, end: Timestamp) -> Option<String> {
        let now = self.now;
        if end <= now {
            return Some(format!("this device's clock says {now}"));
        }
        (!self.is_set && self.unset == Tolerance::Refused).then(|| {
            format!(
                "this device's clock is not set, it says {now}, and its policy takes nothing then that may be over \
                 (unsetClock = \"Refused\"); set the clock"
            )
        })
    }

    /// Whether a judgement by this other clock, which refused something, may come out differently now.
    pub(crate) fn may_overrule(self, earlier: Self) -> bool {
        self.now < earlier.now || (self.is_set && !earlier.is_set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn present(now: &str, unset: Tolerance) -> Present {
        Present::new(at(now), Some(at("2026-06-01T00:00:00Z")), unset)
    }

    #[test]
    fn a_clock_is_not_set_that_says_an_earlier_time_than_one_that_is_past() {
        for (now, is_set) in [
            ("1970-01-01T00:00:01Z", false),
            ("2026-05-31T23:59:59Z", false),
            ("2026-06-01T00:00:00Z", true),
            ("2100-01-01T00:00:00Z", true),
        ] {
            assert_eq!(present(now, Tolerance::Tolerated).is_set(), is_set, "{now}");
        }
        assert!(!Present::new(at("2025-12-31T23:59:59Z"), None, Tolerance::Tolerated).is_set());
    }

    #[test]
    fn what_is_over_by_the_clock_is_refused_and_what_may_be_where_the_policy_says_so() {
        let end = at("2026-07-01T00:00:00Z");
        for unset in [Tolerance::Tolerated, Tolerance::Refused] {
            assert_eq!(present("2026-06-30T23:59:59Z", unset).refuses(end), None);
            let why = present("2026-07-01T00:00:00Z", unset).refuses(end).unwrap();
            assert_eq!(why, "this device's clock says 2026-07-01T00:00:00Z");
        }
        assert_eq!(present("1970-01-01T00:00:01Z", Tolerance::Tolerated).refuses(end), None);
        let why = present("1970-01-01T00:00:01Z", Tolerance::Refused).refuses(end).unwrap();
        assert!(why.contains("not set") && why.contains("unsetClock"), "{why}");
    }

    #[test]
    fn a_clock_that_was_set_or_set_back_may_overrule_what_one_refused() {
        let by = |now| present(now, Tolerance::Refused);
        assert!(by("2026-06-02T00:00:00Z").may_overrule(by("1970-01-01T00:00:01Z")));
        assert!(by("2026-06-02T00:00:00Z").may_overrule(by("2099-01-01T00:00:00Z")));
        assert!(!by("2026-06-02T00:00:00Z").may_overrule(by("2026-06-01T00:00:00Z")));
        assert!(!by("1970-01-01T00:00:02Z").may_overrule(by("1970-01-01T00:00:01Z")));
    }
}
