//! Durations of one thing, measured many times.

use std::time::Duration;

/// The durations.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The shortest duration that `percent` of the samples do not exceed (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted[rank - 1]
    }
}

/// Samples of one thing and of its floor, taken in turns.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// What it could cost at the least.
    pub(crate) floor: Samples,
    /// What it costs.
    pub(crate) subject: Samples,
}

impl Comparison {
    /// One sample of each.
    pub(crate) fn push(&mut self, floor: Duration, subject: Duration) {
        self.floor.push(floor);
        self.subject.push(subject);
    }

    /// How many times the floor it costs, by the medians.
    pub(crate) fn ratio(&self) -> f64 {
        self.subject.percentile(50).as_secs_f64() / self.floor.percentile(50).as_secs_f64()
    }
}
