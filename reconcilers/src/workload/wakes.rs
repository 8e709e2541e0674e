//! Workloads that something happened to, by name.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use agent_model::ResourceName;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

/// The workloads that a pass should look at. Each is in it once, however much happened to it.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    names: Mutex<BTreeSet<ResourceName>>,
    news: Notify,
}

impl Wakes {
    /// Has the workload looked at.
    pub(crate) fn wake(&self, name: &ResourceName) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        self.news.notify_one();
    }

    async fn next(&self) -> BTreeSet<ResourceName> {
        loop {
            let names = std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
            if !names.is_empty() {
                return names;
            }
            // A wake between the look and the wait leaves its notice.
            self.news.notified().await;
        }
    }
}

/// A name each time that something happened to what has it. Never ends.
pub(crate) fn wakes(wakes: Arc<Wakes>) -> impl Stream<Item = ResourceName> + Send + 'static {
    stream::unfold(wakes, |wakes| async move {
        let names = wakes.next().await;
        Some((stream::iter(names), wakes))
    })
    .flatten()
}
