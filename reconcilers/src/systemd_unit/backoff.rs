//! How long a unit that ended by itself stays down before it is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// Who ran so long is well again, and the next end is the first.
pub(super) const WELL: Duration = Duration::from_secs(600);

/// The pause after a unit ended when it had been started so often for having ended. What went well, or was
/// stopped by somebody, is started at once the first time; what failed never is.
pub(super) fn pause(tries: u64, failed: bool) -> Duration {
    let doublings = if failed { Some(tries) } else { tries.checked_sub(1) };
    let Some(doublings) = doublings else { return Duration::ZERO };
    let factor = 1_u32.checked_shl(doublings.try_into().unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
    FIRST.saturating_mul(factor).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_what_went_well_is_forgiven_once() {
        let seconds = |tries, failed| pause(tries, failed).as_secs();
        assert_eq!([0, 1, 2, 3].map(|tries| seconds(tries, false)), [0, 1, 2, 4]);
        assert_eq!(
            [0, 1, 2, 8, 9, 64, u64::MAX].map(|tries| seconds(tries, true)),
            [1, 2, 4, 256, 300, 300, 300]
        );
    }
}
