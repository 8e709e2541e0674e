//! How long an answer is waited for.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

/// As long as the leader of a stream may take to be elected anew, and far longer than a satellite takes.
pub(super) const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// Grows where answers are slow. What is given up is asked again: a server that has more to do than it can would have
/// still more to do if all its devices gave up too early, and where each answer takes longer than anybody waits for it
/// none would ever be heard.
#[derive(Debug)]
pub(super) struct Patience(Mutex<Duration>);

impl Patience {
    pub(super) fn new() -> Self {
        Self(Mutex::new(SHORTEST))
    }

    /// Waits for that answer; `None` when it does not come in time. That is twice as long as the last one took, or was
    /// waited for in vain.
    pub(super) async fn wait_for<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let (limit, start) = (*self.lock(), Instant::now());
        let answer = timeout(limit, answer).await.ok();
        let mut next = self.lock();
        *next = match &answer {
            Some(_) => (start.elapsed() * 2).clamp(SHORTEST, LONGEST),
            // Several that were waited for at the same time count as one.
            None => (limit * 2).clamp(*next, LONGEST),
        };
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{join3, pending};
    use tokio::time::sleep;

    /// Whether an answer that takes so long is heard.
    async fn hears(patience: &Patience, seconds: u64) -> bool {
        patience.wait_for(sleep(Duration::from_secs(seconds))).await.is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn what_always_answers_slowly_is_heard_after_a_few_tries_and_from_then_on() {
        for (seconds, in_vain) in [(4, 0), (6, 1), (19, 2), (50, 4)] {
            let patience = Patience::new();
            for _ in 0..in_vain {
                assert!(!hears(&patience, seconds).await, "{seconds} s");
            }
            for _ in 0..3 {
                assert!(hears(&patience, seconds).await, "{seconds} s");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_answers_is_waited_for_a_minute_at_most_and_a_quick_answer_makes_it_short_again() {
        let patience = Patience::new();
        for expected in [5, 10, 20, 40, 60, 60] {
            let start = Instant::now();
            assert!(patience.wait_for(pending::<()>()).await.is_none());
            assert_eq!(start.elapsed().as_secs(), expected);
        }
        assert!(hears(&patience, 1).await);
        assert!(!hears(&patience, 6).await);
    }

    #[tokio::test(start_paused = true)]
    async fn several_that_are_not_answered_at_the_same_time_count_as_one() {
        let patience = Patience::new();
        join3(hears(&patience, 8), hears(&patience, 8), hears(&patience, 8)).await;
        assert!(!hears(&patience, 11).await);
    }
}
