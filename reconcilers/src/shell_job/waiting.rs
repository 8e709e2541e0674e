//! Waiting for jobs to end: a task for each, which sleeps until the kernel tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agent_model::ResourceName;
use process_shim::ProcessIdentity;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    held::{
        Found,
        ends::{LOOK_AGAIN, end_of},
    },
    workload::Wakes,
};

/// All jobs that are waited for.
#[derive(Debug)]
pub(super) struct Waiting {
    wakes: Arc<Wakes>,
    tasks: Mutex<BTreeMap<ResourceName, Task>>,
}

#[derive(Debug)]
struct Task {
    /// The shim whose end is waited for; `None` where nobody knows it.
    shim: Option<ProcessIdentity>,
    handle: JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Waiting {
    pub(super) fn new(wakes: Arc<Wakes>) -> Self {
        Self { wakes, tasks: Mutex::default() }
    }

    /// Has the job looked at again when what was found of it changes without our doing. When its shim ends, all of it
    /// has ended and everything is written down.
    pub(super) fn attend(&self, name: &ResourceName, found: &Found) {
        let shim = match found {
            Found::Running(running) => Some(running.shim),
            Found::Stopping { shim, .. } => Some(*shim),
            Found::Starting { .. } => None,
            Found::Nothing | Found::Ended(_) | Found::Lost { .. } => {
                self.lock().remove(name);
                return;
            }
        };
        let mut tasks = self.lock();
        if tasks.get(name).is_some_and(|task| task.shim == shim && !task.handle.is_finished()) {
            return;
        }
        let (wakes, woken) = (Arc::clone(&self.wakes), name.clone());
        let handle = tokio::spawn(async move {
            match shim {
                Some(shim) => end_of(&shim).await,
                None => sleep(LOOK_AGAIN).await,
            }
            wakes.wake(&woken);
        });
        tasks.insert(name.clone(), Task { shim, handle });
    }

    /// Waits for nothing of any other jobs any more.
    pub(super) fn keep(&self, names: &BTreeSet<ResourceName>) {
        self.lock().retain(|name, _| names.contains(name));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ResourceName, Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
