//! What is remembered while the agent runs, and can be found out again when it is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent_model::{Failure, ResourceName};
use tokio::time::Instant;

/// Why what is declared could not be created or started when that was tried last.
#[derive(Debug, Default)]
pub(super) struct NotStarted(Mutex<BTreeMap<ResourceName, (String, Failure)>>);

impl NotStarted {
    /// Notes it, for this digest.
    pub(super) fn note(&self, name: &ResourceName, digest: &str, failure: &Failure) {
        lock(&self.0).insert(name.clone(), (digest.to_owned(), failure.clone()));
    }

    /// It has started.
    pub(super) fn forget(&self, name: &ResourceName) {
        lock(&self.0).remove(name);
    }

    /// What is known for this digest.
    pub(super) fn of(&self, name: &ResourceName, digest: &str) -> Option<Failure> {
        lock(&self.0).get(name).filter(|(of, _)| of == digest).map(|(_, failure)| failure.clone())
    }

    /// Forgets all but these.
    pub(super) fn keep(&self, names: &BTreeSet<ResourceName>) {
        lock(&self.0).retain(|name, _| names.contains(name));
    }
}

/// When runs were seen to have ended: a clock that is set back must not make anybody wait for ever.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<BTreeMap<String, Instant>>);

impl Ends {
    /// So many are remembered. One that is forgotten waits by the clock.
    const MAX: usize = 4096;

    /// How long ago the run ended, when the clock says `by_clock`.
    pub(super) fn ended_ago(&self, run: String, by_clock: Duration) -> Duration {
        let mut ends = lock(&self.0);
        if ends.len() >= Self::MAX && !ends.contains_key(&run) {
            ends.clear();
        }
        by_clock.max(ends.entry(run).or_insert_with(Instant::now).elapsed())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
