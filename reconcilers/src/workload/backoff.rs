//! How long a workload that ends by itself waits before it is started again. Pure.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(300);
/// Who ran for so long ends for the first time again.
pub(crate) const HEALTHY: Duration = Duration::from_secs(600);

/// How often in a row a workload has ended by itself, when it had done so `before` times and now ended
/// after running for so long.
pub(crate) fn crashes(before: u64, ran_for: Duration) -> u64 {
    if ran_for >= HEALTHY { 1 } else { before.saturating_add(1) }
}

/// The wait after so many ends in a row (from 1). Without jitter: the workloads of one device share
/// nothing that they could return to as one wave, and a person can tell what comes.
pub(crate) fn delay(crashes: u64) -> Duration {
    let doublings = u32::try_from(crashes.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_begin_anew_after_ten_minutes_of_health() {
        let waits: Vec<u64> = (1..=11).map(|crashes| delay(crashes).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(delay(u64::MAX).as_secs(), 300);
        assert_eq!(crashes(7, Duration::from_secs(599)), 8);
        assert_eq!(crashes(7, Duration::from_secs(600)), 1);
    }
}
