//! How long bytes are under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

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
    /// Whether that one has held anything up.
    has_held: bool,
    stalls: Stalls,
}

/// How many stalls have held something up, of all ways that share this.
#[derive(Debug, Clone, Default)]
pub(super) struct Stalls(Arc<AtomicUsize>);

impl Stalls {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Satellite {
    pub(super) fn new(seed: u64, now: Instant, stalls: Stalls) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let mut satellite = Self { random, stall: (now, now), has_held: false, stalls };
        satellite.stall = satellite.stall_after(now);
        satellite
    }

    /// When what is sent now arrives. Times are asked for in their order.
    pub(super) fn arrival(&mut self, now: Instant) -> Instant {
        let arrival = now + self.between(SATELLITE);
        while arrival >= self.stall.1 {
            self.stall = self.stall_after(self.stall.1);
            self.has_held = false;
        }
        if arrival < self.stall.0 {
            return arrival;
        }
        if !std::mem::replace(&mut self.has_held, true) {
            self.stalls.0.fetch_add(1, Ordering::Relaxed);
        }
        self.stall.1
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
    use std::collections::BTreeSet;

    use super::*;

    /// When what is sent every 10 ms for three minutes arrives.
    fn arrivals(seed: u64) -> Vec<Duration> {
        counted(seed).0
    }

    /// The same, and how many stalls were counted.
    fn counted(seed: u64) -> (Vec<Duration>, usize) {
        let (start, stalls) = (Instant::now(), Stalls::default());
        let mut satellite = Satellite::new(seed, start, stalls.clone());
        let sent = (0..18_000).map(|step| start + Duration::from_millis(10) * step);
        (sent.map(|sent| satellite.arrival(sent) - sent).collect(), stalls.count())
    }

    #[test]
    fn each_stall_that_holds_something_up_counts_once() {
        let (arrivals, stalls) = counted(1);
        // All that one holds up arrives in one instant.
        let late = arrivals.iter().enumerate().filter(|(_, way)| **way > SATELLITE.1);
        let ends: BTreeSet<_> =
            late.map(|(step, way)| Duration::from_millis(10) * step as u32 + *way).collect();
        assert!((5..=26).contains(&ends.len()), "{ends:?}");
        assert_eq!(stalls, ends.len());
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
