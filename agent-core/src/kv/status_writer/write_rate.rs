//! At most so many writes in any second.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Writes in any stretch of [`STRETCH`] (wire contract: AgentStatus). All may come at once, so that
/// a second state that follows the first closely is not held back.
const WRITES: usize = 4;
const STRETCH: Duration = Duration::from_secs(1);

/// When the last writes were sent. A token bucket would let through a burst and the rate on top
/// of it within one second.
#[derive(Debug, Default)]
pub(super) struct WriteRate {
    sent: VecDeque<Instant>,
}

impl WriteRate {
    /// When the next write may be sent; `None`: now.
    pub(super) fn available_at(&self) -> Option<Instant> {
        (self.sent.len() == WRITES).then(|| self.sent.front().map(|first| *first + STRETCH)).flatten()
    }

    /// When the last write was sent.
    pub(super) fn last(&self) -> Option<Instant> {
        self.sent.back().copied()
    }

    /// Notes that a write is sent now.
    pub(super) fn note(&mut self, now: Instant) {
        if self.sent.len() == WRITES {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn four_writes_may_come_at_once_and_the_fifth_a_second_after_the_first() {
        let start = Instant::now();
        let mut rate = WriteRate::default();
        for _ in 0..4 {
            assert_eq!(rate.available_at(), None);
            rate.note(start);
        }
        assert_eq!(rate.available_at(), Some(start + STRETCH));
    }

    proptest! {
        #[test]
        fn no_second_sees_more_than_four_writes(pauses in proptest::collection::vec(0_u64..600, 5..100)) {
            let mut now = Instant::now();
            let mut rate = WriteRate::default();
            let mut sent = Vec::new();
            for pause in pauses {
                now = rate.available_at().map_or(now, |at| at.max(now));
                rate.note(now);
                sent.push(now);
                now += Duration::from_millis(pause);
            }
            prop_assert!(sent.windows(WRITES + 1).all(|writes| writes[WRITES] - writes[0] >= STRETCH));
        }
    }
}
