//! What the coordinator sees through: the devices' disks, what they send, the stored statuses, and the server's traffic.
//!
//! All of it runs on the thread of the test, so that what is seen has an order.

use std::{collections::BTreeMap, time::Duration};

use agent_model::status::AgentStatus;
use async_nats::jetstream::{message::StreamMessage, stream::DirectGetErrorKind};
use futures_util::StreamExt as _;
use tokio::task::{AbortHandle, JoinSet};

use super::{field::device_of, paper::PROCESS, scene::Scene};
use crate::{
    coordinator::{Beat, Body, Contents, Event, Said, Told},
    platform::{ACTUAL_STATE, DESIRED_STATE, EVENTS, HEARTBEAT, Platform},
    proxy::{Messages, Proxy},
};

/// How often the disks are looked at. What lies there for a shorter time can be missed.
const LOOK: Duration = Duration::from_millis(10);
/// How often the stream of statuses is asked for the next one.
const LISTEN: Duration = Duration::from_millis(20);

/// What a message on the server means, by the device that it is about.
type SeenOf = fn(usize) -> Event;

/// Looks until it is dropped.
#[derive(Debug)]
pub(super) struct Eyes {
    /// None of them ends while there is something to be seen.
    watching: Vec<(String, AbortHandle)>,
    /// End when dropped.
    tasks: JoinSet<()>,
}

impl Eyes {
    pub(super) async fn open(platform: &Platform, scene: &Scene) -> Self {
        let mut eyes = Self { watching: Vec::new(), tasks: JoinSet::new() };
        eyes.watch("the disks", watch_disks(scene.clone()));
        eyes.watch("the stored statuses", follow_statuses(platform.clone(), scene.clone()));
        let reads = |bucket: &str| format!("$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.*");
        let traffic: [(String, SeenOf); 5] = [
            (reads(DESIRED_STATE), |device| Event::Reads(device, DESIRED_STATE)),
            (reads(ACTUAL_STATE), |device| Event::Reads(device, ACTUAL_STATE)),
            (format!("$KV.{ACTUAL_STATE}.*"), |device| Event::Writes(device, ACTUAL_STATE)),
            (format!("$KV.{HEARTBEAT}.*"), |device| Event::Writes(device, HEARTBEAT)),
            (format!("{EVENTS}.*"), |device| Event::Writes(device, EVENTS)),
        ];
        for (subject, event) in traffic {
            let mut messages = platform.client.subscribe(subject.clone()).await.expect("connected");
            let coordinator = scene.coordinator.clone();
            eyes.watch(&subject, async move {
                while let Some(message) = messages.next().await {
                    coordinator.lock().note(event(device_of(&message.subject)));
                }
            });
        }
        platform.client.flush().await.expect("connected");
        eyes
    }

    fn watch(&mut self, what: &str, task: impl Future<Output = ()> + Send + 'static) {
        self.watching.push((what.to_owned(), self.tasks.spawn(task)));
    }

    /// What is looked at no longer, because that ended or panicked.
    pub(super) fn blind_to(&self) -> Option<&str> {
        let closed = self.watching.iter().find(|(_, task)| task.is_finished());
        closed.map(|(what, _)| what.as_str())
    }
}

/// Notes what a device says when it comes in at the cable: that is the first moment at which anybody can know, and
/// the device has it then. Looked at when it is stored, a device could have made it true meanwhile.
pub(super) fn watch_cable(cable: &Proxy, device: usize, scene: &Scene) {
    let here = scene.clone();
    cable.witness(Messages::Published(format!("$KV.{ACTUAL_STATE}.*")), move |bytes| {
        // What cannot be read is found when it is stored.
        let Ok(status) = serde_json::from_slice::<AgentStatus>(bytes) else { return };
        let about = here.body_of(device, status.agent_info.started_at);
        let contents = about.and_then(|body| here.contents(body));
        here.coordinator.lock().note(Event::Said(Box::new(Said { device, about, status, contents })));
    });
    let here = scene.clone();
    cable.witness(Messages::Published(format!("$KV.{HEARTBEAT}.*")), move |bytes| {
        // One that cannot be read is missed in the end.
        let Ok(heartbeat) = serde_json::from_slice(bytes) else { return };
        let contents = here.contents_of_all(device);
        here.coordinator.lock().note(Event::Beat(Box::new(Beat { device, heartbeat, contents })));
    });
}

/// Notes what is different on a disk since the last look.
async fn watch_disks(scene: Scene) {
    let mut seen: BTreeMap<Body, Contents> = BTreeMap::new();
    let mut held = BTreeMap::new();
    loop {
        let bodies = scene.bodies.lock().clone();
        for (body, whereabouts) in bodies {
            let Some(whereabouts) = whereabouts else { continue };
            let last = seen.entry(body).or_default();
            for (claim, content) in whereabouts.files() {
                if last.insert(claim.clone(), content.clone()) != Some(content.clone()) {
                    scene.coordinator.lock().note(Event::Saw { body, claim, content });
                }
            }
            if !whereabouts.has_process {
                continue;
            }
            if let Some((content, process)) = whereabouts.process()
                && held.insert(body, (content.clone(), process)) != Some((content.clone(), process))
            {
                let claim = PROCESS.to_owned();
                let saw = Event::Saw { body, claim: claim.clone(), content: Some(content.clone()) };
                let mut coordinator = scene.coordinator.lock();
                coordinator.note(saw);
                coordinator.note(Event::Holds { body, claim, content, process });
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Notes each status that is stored, in the order of the stream. The stream is asked and not consumed: so
/// there is nothing that a restart of the server could lose.
async fn follow_statuses(platform: Platform, scene: Scene) {
    loop {
        let next = *scene.next.lock();
        match status_of_revision(&platform, next.revision).await {
            // Of a store that is no more there is nothing to be heard.
            Ok(Some(message)) if *scene.next.lock() == next => {
                scene.next.lock().revision += 1;
                let told = told(&message, &scene);
                scene.coordinator.lock().note(Event::Told(Box::new(told)));
            }
            _ => tokio::time::sleep(LISTEN).await,
        }
    }
}

async fn status_of_revision(platform: &Platform, revision: u64) -> Result<Option<StreamMessage>, String> {
    let stream = platform.jetstream.get_stream_no_info(format!("KV_{ACTUAL_STATE}")).await;
    let stream = stream.map_err(|error| error.to_string())?;
    match stream.direct_get(revision).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn told(message: &StreamMessage, scene: &Scene) -> Told {
    let device = device_of(&message.subject);
    let status: AgentStatus = serde_json::from_slice(&message.payload).expect("a device tells its status");
    let about = scene.body_of(device, status.agent_info.started_at);
    Told { device, about, revision: message.sequence, status }
}
