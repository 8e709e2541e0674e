//! How long an answer is waited for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    pin,
    time::{Instant, timeout_at},
};

/// As long as the leader of a stream may take to be elected anew, and far longer than a satellite takes.
pub(super) const SHORTEST: Duration = Duration::from_secs(5);
/// An answer that is lost holds up what waits for it for so long.
const LONGEST: Duration = Duration::from_secs(30);
/// What arrives on a link on which a large answer may be arriving, in bytes a second: far less than the slowest satellite
/// brings, and far more than pings and hints do.
const ARRIVING: u64 = 256;
/// The largest entry over 9 kbit/s. Who floods a device with messages can hold up what waits for a lost answer for so long.
const LONGEST_ARRIVAL: Duration = Duration::from_secs(600);

/// Grows where answers are slow. What is given up is asked again: a server that has more to do than it can would have
/// still more to do if all its devices gave up too early, and where each answer takes longer than anybody waits for it
/// none would ever be heard.
///
/// Kept for each subject whose answers are slow: a device has no more than four that it asks.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<BTreeMap<String, Duration>>);

impl Patience {
    /// Waits for the answer to a request of that subject; `None` when it does not come in time. That is twice as long
    /// as the last one took, or was waited for in vain; and longer while the link brings something, by the count of bytes
    /// `received`: given up, a large answer on a slow link would still come, and the next one behind it.
    pub(super) async fn wait_for<T>(
        &self,
        subject: &str,
        received: impl Fn() -> u64,
        answer: impl Future<Output = T>,
    ) -> Option<T> {
        pin!(answer);
        let start = Instant::now();
        let mut limit = self.lock().get(subject).copied().unwrap_or(SHORTEST);
        let mut window = limit;
        let mut before = received();
        let answer = loop {
            if let Ok(answer) = timeout_at(start + limit, &mut answer).await {
                break Some(answer);
            }
            let arrived = received().saturating_sub(before);
            if arrived < ARRIVING * window.as_secs() || limit >= LONGEST_ARRIVAL {
                break None;
            }
            before += arrived;
            window = SHORTEST;
            limit += window;
        };
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
        patience.wait_for(subject, || 0, sleep(Duration::from_secs(seconds))).await.is_some()
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
            assert!(patience.wait_for("a", || 0, pending::<()>()).await.is_none());
            assert_eq!(start.elapsed().as_secs(), expected);
        }
        assert!(hears(&patience, "a", 1).await);
        assert!(!hears(&patience, "a", 6).await);
    }

    /// How long an answer that never comes is waited for on a link that brings so many bytes a second for so long.
    async fn waits_in_vain(bytes: u64, seconds: u64) -> u64 {
        let start = Instant::now();
        let received = || bytes * start.elapsed().as_secs().min(seconds);
        let answer = Patience::default().wait_for("a", received, pending::<()>()).await;
        assert!(answer.is_none());
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_as_long_as_the_link_brings_something_and_no_longer_than_the_largest_entry() {
        assert_eq!(waits_in_vain(1_200, 52).await, 60);
        assert_eq!(waits_in_vain(1_200, u64::MAX).await, 600);
        // Hints and pings are no answer.
        assert_eq!(waits_in_vain(200, u64::MAX).await, 5);
        let start = Instant::now();
        let received = || 1_200 * start.elapsed().as_secs();
        let patience = Patience::default();
        assert!(patience.wait_for("a", received, sleep(Duration::from_secs(500))).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn each_subject_is_waited_for_by_itself() {
        let patience = Patience::default();
        assert!(!hears(&patience, "a", 6).await);
        assert!(hears(&patience, "b", 1).await);
        assert!(hears(&patience, "a", 6).await && !hears(&patience, "b", 6).await);
    }
}
