//! Keeps a fleet from doing regular things in step.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Longest interval that is taken at its word: an absurd one in a configuration must not overflow
/// the clock.
const LONGEST_INTERVAL: Duration = Duration::from_secs(30 * 24 * 3600);

/// `interval`, up to a quarter longer or shorter, so that devices that started together drift
/// apart.
pub(super) fn spread(interval: Duration, rng: &mut impl Rng) -> Duration {
    interval.min(LONGEST_INTERVAL).mul_f64(rng.random_range(0.75..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn an_interval_is_spread_to_both_sides_and_no_further() {
        let mut rng = StdRng::seed_from_u64(1);
        let hour = Duration::from_secs(3600);
        let spread: Vec<Duration> = (0..1000).map(|_| spread(hour, &mut rng)).collect();
        assert!(spread.iter().all(|it| (Duration::from_secs(2700)..Duration::from_secs(4500)).contains(it)));
        assert!(spread.iter().filter(|it| **it < hour).count() > 400);
        assert!(spread.iter().filter(|it| **it > hour).count() > 400);
    }

    #[test]
    fn an_absurd_interval_is_cut_to_what_the_clock_can_count() {
        let mut rng = StdRng::seed_from_u64(1);
        assert!(spread(Duration::MAX, &mut rng) <= LONGEST_INTERVAL.mul_f64(1.25));
    }
}
