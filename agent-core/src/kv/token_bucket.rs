//! A bound on how often something happens, with room for a burst.

use std::time::Duration;

use tokio::time::Instant;

/// Lets `burst` things happen at once and one more per `interval`. Kept as the time at which the
/// bucket will be full again, so that it needs no timer of its own.
#[derive(Debug)]
pub(super) struct TokenBucket {
    interval: Duration,
    /// How far ahead of the clock `full_at` may be for one more token to be left.
    slack: Duration,
    full_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new(burst: u32, interval: Duration, now: Instant) -> Self {
        Self { interval, slack: interval * burst.saturating_sub(1), full_at: now }
    }

    /// When the next token can be taken; not in the future if one can be taken now.
    pub(super) fn available_at(&self) -> Instant {
        self.full_at.checked_sub(self.slack).unwrap_or(self.full_at)
    }

    /// Takes a token and says whether there was one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let available = self.available_at() <= now;
        if available {
            self.full_at = self.full_at.max(now) + self.interval;
        }
        available
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_per_interval() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(3, Duration::from_millis(100), start);
        assert_eq!([(); 5].map(|()| bucket.take(start)), [true, true, true, false, false]);
        assert_eq!(bucket.available_at(), start + Duration::from_millis(100));
        assert!(!bucket.take(start + Duration::from_millis(99)));
        assert!(bucket.take(start + Duration::from_millis(100)));
        assert!(!bucket.take(start + Duration::from_millis(199)));
    }

    #[test]
    fn rest_fills_the_bucket_to_its_burst_and_no_further() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(2, Duration::from_millis(100), start);
        let later = start + Duration::from_secs(3600);
        assert_eq!([(); 3].map(|()| bucket.take(later)), [true, true, false]);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_its_rate_and_one_burst(
            pauses in proptest::collection::vec(0_u64..250, 1..200),
        ) {
            let mut now = Instant::now();
            let mut bucket = TokenBucket::new(10, Duration::from_millis(100), now);
            let mut taken: Vec<Instant> = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                if bucket.take(now) {
                    taken.push(now);
                }
            }
            for (first, start) in taken.iter().enumerate() {
                for (last, end) in taken.iter().enumerate().skip(first) {
                    let allowed = 10 + (*end - *start).as_millis() / 100;
                    prop_assert!((last - first + 1) as u128 <= allowed);
                }
            }
        }
    }
}
