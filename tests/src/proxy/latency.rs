//! How long bytes are under way.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

/// How long one way over a satellite takes, at least and at most: 600 ms on average.
const SATELLITE: (Duration, Duration) = (Duration::from_millis(450), Duration::from_millis(750));
/// How long it works between two stalls.
const WORKS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));
/// How long a stall lasts, in which nothing arrives.
const STALLS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));

/// The way over a satellite: what is under way arrives in order, some 600 ms later, but nothing while it
/// stalls. The same at each run with the same seed, counted from its beginning.
#[derive(Debug)]
pub(super) struct Satellite {
    random: StdRng,
    stall: (Instant, Instant),
}

impl Satellite {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        let mut satellite = Self { random: StdRng::seed_from_u64(seed), stall: (now, now) };
        satellite.stall = satellite.stall_after(now);
        satellite
    }

    /// When what is sent now arrives. Times are asked for in their order.
    pub(super) fn arrival(&mut self, now: Instant) -> Instant {
        let arrival = now + self.between(SATELLITE);
        while arrival >= self.stall.1 {
            self.stall = self.stall_after(self.stall.1);
        }
        if arrival >= self.stall.0 { self.stall.1 } else { arrival }
    }

    fn stall_after(&mut self, time: Instant) -> (Instant, Instant) {
        let begin = time + self.between(WORKS);
        (begin, begin + self.between(STALLS))
    }

    fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        self.random.random_range(least..=most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When what is sent every 10 ms for three minutes arrives.
    fn arrivals(seed: u64) -> Vec<Duration> {
        let start = Instant::now();
        let mut satellite = Satellite::new(seed, start);
        let sent = (0..18_000).map(|step| start + Duration::from_millis(10) * step);
        sent.map(|sent| satellite.arrival(sent) - sent).collect()
    }

    #[test]
    fn the_way_takes_600_ms_on_average_outside_of_stalls_of_some_seconds() {
        let arrivals = arrivals(1);
        let ordinary: Vec<f64> =
            arrivals.iter().filter(|way| **way <= SATELLITE.1).map(Duration::as_secs_f64).collect();
        let average = ordinary.iter().sum::<f64>() / ordinary.len() as f64;
        assert!((0.59..0.61).contains(&average), "{average}");
        let longest = arrivals.iter().max().unwrap();
        assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(longest), "{longest:?}");
    }

    #[test]
    fn a_seed_tells_all() {
        assert_eq!(arrivals(7), arrivals(7));
        assert_ne!(arrivals(7), arrivals(8));
    }
}
