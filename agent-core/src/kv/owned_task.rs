//! A task that ends with whoever began it.

use std::future::pending;

use tokio::task::{JoinError, JoinSet};

/// Aborted when dropped.
#[derive(Debug)]
pub(super) struct OwnedTask(JoinSet<()>);

impl OwnedTask {
    pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        Self(tasks)
    }

    /// Ready when it panicked, and never where it ended in order. Nobody else would notice: its channels merely fall
    /// silent. Cancel safe.
    pub(super) async fn failed(&mut self) -> JoinError {
        while let Some(end) = self.0.join_next().await {
            if let Err(error) = end
                && error.is_panic()
            {
                return error;
            }
        }
        pending().await
    }

    /// Ready when it has ended, in whatever way.
    pub(super) async fn ended(&mut self) {
        self.0.join_next().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_noticed_and_an_end_in_order_is_none() {
        let mut fails = OwnedTask::spawn(async { panic!("of the test") });
        assert!(fails.failed().await.is_panic());
        let mut ends = OwnedTask::spawn(async {});
        assert!(timeout(Duration::from_secs(60), ends.failed()).await.is_err());
        ends.ended().await;
    }
}
