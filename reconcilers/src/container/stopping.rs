//! Stopping containers: the runtime sends the signal, waits and kills; a task waits for its answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent_model::ResourceName;
use bollard::query_parameters::StopContainerOptions;
use tokio::{task::JoinHandle, time::sleep};

use super::engine::{Engine, Refusal};
use crate::workload::Wakes;

/// Longer than the longest `stopTimeout` that can be declared.
const LONGEST: Duration = Duration::from_secs(3600 + 120);
/// How long before one is looked at again that the runtime did not stop.
const FAILED_PAUSE: Duration = Duration::from_secs(5);

/// What is being stopped, by the container's id.
#[derive(Debug)]
pub(super) struct Stops {
    engine: Arc<Engine>,
    wakes: Arc<Wakes>,
    stops: Mutex<BTreeMap<String, JoinHandle<()>>>,
}

impl Stops {
    pub(super) fn new(engine: Arc<Engine>, wakes: Arc<Wakes>) -> Self {
        Self { engine, wakes, stops: Mutex::default() }
    }

    /// Has the container stopped with its own signal and within its own time.
    pub(super) fn begin(&self, name: &ResourceName, id: &str) {
        let mut stops = self.lock();
        stops.retain(|_, task| !task.is_finished());
        if stops.contains_key(id) {
            return;
        }
        let (engine, wakes) = (Arc::clone(&self.engine), Arc::clone(&self.wakes));
        let (name, id) = (name.clone(), id.to_owned());
        let task = tokio::spawn({
            let id = id.clone();
            async move {
                let stopped = engine.ask(LONGEST, |client| async move {
                    client.stop_container(&id, None::<StopContainerOptions>).await
                });
                match stopped.await {
                    Ok(()) => {}
                    Err(refusal) if refusal.is_not_found() => {}
                    Err(Refusal::Unavailable(failure)) => {
                        tracing::warn!(%name, %failure, "it may not have been stopped");
                        sleep(FAILED_PAUSE).await;
                    }
                    Err(Refusal::Answer { message, .. }) => {
                        tracing::warn!(%name, message = super::failures::quoted(&message), "it was not stopped");
                        sleep(FAILED_PAUSE).await;
                    }
                }
                wakes.wake(&name);
            }
        });
        stops.insert(id, task);
    }

    /// Whether the runtime has been asked and has not answered yet.
    pub(super) fn is_stopping(&self, id: &str) -> bool {
        self.lock().get(id).is_some_and(|task| !task.is_finished())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, JoinHandle<()>>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
