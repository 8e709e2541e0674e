//! How a workload that runs is, as far as is known. Pure.

use std::time::Duration;

use agent_model::Probe;

/// How a workload that runs is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It has not shown yet that it has started.
    Starting {
        /// What is waited for, or what went wrong so far.
        message: String,
    },
    /// It can do its work.
    Ready,
    /// It cannot do its work, says its readiness probe.
    NotReady {
        /// What the probe found.
        message: String,
    },
    /// It is beyond recovery, says a probe.
    GivenUp {
        /// Which one: `LivenessFailed` or `StartupFailed`.
        reason: &'static str,
        /// What the probe found.
        message: String,
    },
}

/// Counts what one probe finds.
#[derive(Debug)]
pub(crate) struct Tally {
    threshold: u32,
    start_period: Duration,
    failures: u32,
    has_succeeded: bool,
}

/// What a try of a probe means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// All is well.
    Success,
    /// Nothing yet: it may pass.
    Undecided,
    /// So many failures in a row count as one.
    Failure,
}

impl Tally {
    pub(crate) fn new(probe: &Probe) -> Self {
        Self {
            threshold: probe.failure_threshold,
            start_period: probe.start_period,
            failures: 0,
            has_succeeded: false,
        }
    }

    /// Takes in one try of a workload that has been up for so long. `counts` is false for one that was
    /// made before its time: it may only succeed.
    pub(crate) fn take(&mut self, succeeded: bool, up_for: Duration, counts: bool) -> Meaning {
        if succeeded {
            self.failures = 0;
            self.has_succeeded = true;
            return Meaning::Success;
        }
        // Once it has succeeded, it has started: the rest of the period is no excuse.
        if !counts || (up_for < self.start_period && !self.has_succeeded) {
            return Meaning::Undecided;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.threshold { Meaning::Failure } else { Meaning::Undecided }
    }
}

#[cfg(test)]
mod tests {
    use agent_model::ProbeAction;

    use super::*;

    fn tally(threshold: u32, start_period: u64) -> Tally {
        Tally::new(&Probe {
            failure_threshold: threshold,
            start_period: Duration::from_secs(start_period),
            ..Probe::new(ProbeAction::Tcp { port: 1 })
        })
    }

    #[test]
    fn so_many_failures_in_a_row_count_and_a_success_in_between_begins_anew() {
        let mut tally = tally(2, 0);
        let up_for = Duration::from_secs(1);
        let meanings =
            [false, true, false, false, false].map(|succeeded| tally.take(succeeded, up_for, true));
        use Meaning::{Failure, Success, Undecided};
        assert_eq!(meanings, [Undecided, Success, Undecided, Failure, Failure]);
    }

    #[test]
    fn in_the_start_period_and_before_its_time_no_failure_counts() {
        let mut tally = tally(1, 10);
        assert_eq!(tally.take(false, Duration::from_secs(9), true), Meaning::Undecided);
        assert_eq!(tally.take(false, Duration::from_secs(10), false), Meaning::Undecided);
        assert_eq!(tally.take(false, Duration::from_secs(10), true), Meaning::Failure);
    }

    #[test]
    fn after_a_success_the_start_period_is_over() {
        let mut tally = tally(1, 10);
        assert_eq!(tally.take(true, Duration::from_secs(1), true), Meaning::Success);
        assert_eq!(tally.take(false, Duration::from_secs(2), true), Meaning::Failure);
    }
}
