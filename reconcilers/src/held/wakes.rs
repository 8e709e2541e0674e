//! Claims of what runs that something happened to.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use agent_model::{Claim, ResourceName};
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

/// What a pass should look at. Each is in it once, however much happened to it.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    names: Mutex<BTreeSet<ResourceName>>,
    news: Notify,
}

impl Wakes {
    /// Has that one looked at.
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

/// The same as claims, each of which `claim` makes of a name.
pub(crate) fn wakes(
    wakes: Arc<Wakes>,
    claim: fn(ResourceName) -> Claim,
) -> impl Stream<Item = Claim> + Send + 'static {
    stream::unfold(wakes, move |wakes| async move {
        let names = wakes.next().await;
        Some((stream::iter(names.into_iter().map(claim)), wakes))
    })
    .flatten()
}
