//! How long to wait before trying again.

use std::time::Duration;

/// Exponential growth with full jitter: the wait before attempt `n` is drawn evenly between
/// nothing and `first` × 2^(n−1), capped at `longest`. Jitter over the whole range keeps a fleet
/// that failed together from returning together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper end of the first wait.
    pub first: Duration,
    /// Upper end of every later wait.
    pub longest: Duration,
}

/// No wait is shorter, so that bad luck cannot make a hot loop.
const SHORTEST: Duration = Duration::from_millis(50);

impl Backoff {
    /// The pace at which failing resources are tried again: 1 s to 5 min.
    pub const RESOURCE: Self = Self { first: Duration::from_secs(1), longest: Duration::from_secs(300) };

    /// The wait after `failures` in a row (from 1), for a `random` number between 0 and 1.
    pub fn delay(self, failures: u64, random: f64) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
        let cap = self.first.saturating_mul(1 << doublings).min(self.longest);
        cap.mul_f64(random.clamp(0.0, 1.0)).max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_never_vanish() {
        let upper: Vec<u64> = (1..=11).map(|n| Backoff::RESOURCE.delay(n, 1.0).as_secs()).collect();
        assert_eq!(upper, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(Backoff::RESOURCE.delay(u64::MAX, 1.0).as_secs(), 300);
        assert_eq!(Backoff::RESOURCE.delay(5, 0.0), SHORTEST);
        assert_eq!(Backoff::RESOURCE.delay(3, 0.5).as_secs(), 2);
    }
}
