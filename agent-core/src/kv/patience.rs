//! How long an answer is waited for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

/// As long as the leader of a stream may take to be elected anew, and far longer than a satellite takes.
pub(super) const SHORTEST: Duration = Duration::from_secs(5);
/// An answer that is lost holds up what waits for it for so long.
const LONGEST: Duration = Duration::from_secs(30);

/// Grows where answers are slow. What is given up is asked again: a server that has more to do than it can would have
/// still more to do if all its devices gave up too early, and where each answer takes longer than anybody waits for it
/// none would ever be heard.
///
/// Kept for each subject to which requests go that may not be answered: a device has no more than six of them.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<BTreeMap<String, Duration>>);

impl Patience {
    /// Whether the answer to the last request of that subject was slow or did not come, or is waited for still.
    pub(super) fn is_tried(&self, subject: &str) -> bool {
        self.lock().contains_key(subject)
    }

    /// Waits for the answer to a request of that subject; `None` when it does not come in time. That is twice as long
    /// as the last one took, or was waited for in vain.
    pub(super) async fn wait_for<T>(&self, subject: &str, answer: impl Future<Output = T>) -> Option<T> {
        // Noted beforehand, so that it stays noted where nobody waits to the end.
        let limit = *self.lock().entry(subject.to_owned()).or_insert(SHORTEST);
        let start = Instant::now();
        let answer = timeout(limit, answer).await.ok();
        let waited = if answer.is_some() { start.elapsed() } else { limit };
        let next = (waited * 2).min(LONGEST);
        if next > SHORTEST {
            self.lock().insert(subject.to_owned(), next);
        } else {
            self.lock().remove(subject);
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::pending;
    use tokio::time::sleep;

    /// Whether an answer that takes so long is heard.
    async fn hears(patience: &Patience, subject: &str, seconds: u64) -> bool {
        patience.wait_for(subject, sleep(Duration::from_secs(seconds))).await.is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn what_always_answers_slowly_is_heard_after_a_few_tries_and_from_then_on() {
        for (seconds, in_vain) in [(4, 0), (6, 1), (19, 2), (29, 3)] {
            let patience = Patience::default();
            for _ in 0..in_vain {
                assert!(!hears(&patience, "a", seconds).await, "{seconds} s");
            }
            for _ in 0..3 {
                assert!(hears(&patience, "a", seconds).await, "{seconds} s");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_answers_is_waited_for_half_a_minute_at_most_and_a_quick_answer_makes_it_short_again()
    {
        let patience = Patience::default();
        for expected in [5, 10, 20, 30, 30] {
            let start = Instant::now();
            assert!(patience.wait_for("a", pending::<()>()).await.is_none());
            assert_eq!((start.elapsed().as_secs(), patience.is_tried("a")), (expected, true));
        }
        assert!(hears(&patience, "a", 1).await);
        assert!(!patience.is_tried("a") && !hears(&patience, "a", 6).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waited_for_to_the_end_may_not_be_answered() {
        let patience = Patience::default();
        let given_up = timeout(Duration::from_secs(1), patience.wait_for("a", pending::<()>())).await;
        assert!(given_up.is_err() && patience.is_tried("a"));
        assert!(hears(&patience, "a", 1).await && !patience.is_tried("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn each_subject_is_waited_for_by_itself() {
        let patience = Patience::default();
        assert!(!hears(&patience, "a", 6).await);
        assert!(hears(&patience, "b", 1).await);
        assert!(hears(&patience, "a", 6).await && !hears(&patience, "b", 6).await);
    }
}
