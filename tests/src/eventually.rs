//! Waiting for what must happen, without saying how fast.

use std::time::Duration;

/// How long something may take before the test gives up. Generous on purpose: it is no
/// requirement, only the line between slow and never on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(25);

/// Looks at `condition` until it holds and returns what it found.
///
/// # Panics
/// When [`PATIENCE`] runs out; the message names `what` and the last reason why not.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Result<T, String>) -> T {
    let attempt = async {
        let mut why_not = "the condition was never judged".to_owned();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout_at(deadline, condition()).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(reason)) => why_not = reason,
                Err(_) => return Err(why_not),
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(why_not);
            }
            tokio::time::sleep(PERIOD).await;
        }
    };
    match attempt.await {
        Ok(found) => found,
        Err(why_not) => panic!("waited {PATIENCE:?} in vain until {what}: {why_not}"),
    }
}
