//! Waiting for what happens to our containers: the runtime's own stream of events, one connection.
//!
//! Nothing is polled while it lasts. When it breaks off, everything is looked at once, and it is opened again,
//! at growing intervals where nobody answers, and at once when a socket appears. Without containers there is no stream.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use agent_model::{AgentId, ResourceName};
use bollard::{models::EventMessage, query_parameters::EventsOptions};
use futures_util::StreamExt;
use tokio::{task::JoinHandle, time::sleep};

use super::{
    engine::{Engine, LOOK},
    labels, socket_appears,
};
use crate::workload::Wakes;

/// The first pause before the stream is opened again; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Whoever kept the stream open for so long begins anew with the first pause.
const LASTED: Duration = Duration::from_secs(60);
/// What is news; the commands of probes are not.
const NEWS: [&str; 10] =
    ["die", "died", "oom", "destroy", "remove", "pause", "unpause", "start", "rename", "stop"];

/// Watches the runtime while there is something to watch.
#[derive(Debug)]
pub(super) struct Events {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    agent: AgentId,
    engine: Arc<Engine>,
    wakes: Arc<Wakes>,
    watched: Mutex<BTreeSet<ResourceName>>,
}

impl Events {
    pub(super) fn new(agent: AgentId, engine: Arc<Engine>, wakes: Arc<Wakes>) -> Self {
        let shared = Shared { agent, engine, wakes, watched: Mutex::default() };
        Self { shared: Arc::new(shared), task: Mutex::default() }
    }

    /// Has what happens to these from now on told as wakes, and what happens to others not.
    pub(super) fn watch(&self, names: BTreeSet<ResourceName>) {
        let mut task = lock(&self.task);
        if names.is_empty() {
            if let Some(task) = task.take() {
                task.abort();
            }
        } else if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(Arc::clone(&self.shared).follow()));
        }
        *lock(&self.shared.watched) = names;
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

impl Shared {
    async fn follow(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        let mut since = SystemTime::now();
        let mut is_first = true;
        loop {
            let begun = tokio::time::Instant::now();
            let ended = self.stream(since, !is_first).await;
            is_first = false;
            if begun.elapsed() >= LASTED {
                pause = FIRST_PAUSE;
            }
            if let Err(problem) = ended {
                tracing::debug!(problem, "no events of the container runtime");
            }
            since = SystemTime::now();
            self.engine.forget();
            // Both wait for something and have nothing to lose.
            pause = tokio::select! {
                () = sleep(pause) => (pause * 2).min(LONGEST_PAUSE),
                () = socket_appears::wait(self.engine.sockets()) => FIRST_PAUSE,
            };
        }
    }

    /// Follows the stream to its end. `again` wakes everything once it is answered: something may have happened
    /// while nobody listened.
    async fn stream(&self, since: SystemTime, again: bool) -> Result<(), String> {
        self.engine
            .ask(LOOK, |client| async move { client.ping().await })
            .await
            .map_err(|refusal| refusal.into_failure("answer").message)?;
        let (_, client) = self.engine.client().map_err(|failure| failure.message)?;
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let options = EventsOptions {
            // In whole seconds, so that none is left out.
            since: Some(since.as_secs().to_string()),
            filters: Some(HashMap::from([(
                "label".to_owned(),
                vec![format!("{}={}", labels::AGENT, self.agent)],
            )])),
            ..EventsOptions::default()
        };
        let mut events = client.with_timeout(LOOK).events(Some(options));
        if again {
            self.wake_all();
        }
        let ended = loop {
            match events.next().await {
                Some(Ok(event)) => self.take(&event),
                Some(Err(error)) => break Err(error.to_string()),
                None => break Ok(()),
            }
        };
        // It may have ended with the runtime and all that it held. Where a runtime has no events to tell, this
        // is how its containers come to be looked at.
        self.wake_all();
        ended
    }

    fn take(&self, event: &EventMessage) {
        let action = event.action.as_deref().unwrap_or_default();
        if !NEWS.contains(&action) {
            return;
        }
        let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
        let name = attributes.and_then(|attributes| attributes.get(labels::RESOURCE)?.parse().ok());
        match name {
            Some(name) if lock(&self.watched).contains(&name) => self.wakes.wake(&name),
            Some(_) => {}
            None => self.wake_all(),
        }
    }

    fn wake_all(&self) {
        for name in lock(&self.watched).iter() {
            self.wakes.wake(name);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
