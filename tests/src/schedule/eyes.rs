//! What the coordinator sees through: the devices' disks, the stored statuses, and the server's traffic.
//!
//! All of it runs on the thread of the test, so that what is seen has an order.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent_model::{Timestamp, status::AgentStatus};
use async_nats::jetstream::{message::StreamMessage, stream::DirectGetErrorKind};
use futures_util::StreamExt as _;
use process_shim::{ProcessFolder, ProcessIdentity, ShimRecord};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    field::device_of,
    paper::{FILES, HELD, PROCESS},
};
use crate::{
    agent::Agent,
    coordinator::{Body, Contents, Coordinator, Event, Told},
    platform::{ACTUAL_STATE, DESIRED_STATE, Platform},
};

/// How often the disks are looked at. What lies there for a shorter time can be missed.
const LOOK: Duration = Duration::from_millis(10);
/// How often the stream of statuses is asked for the next one.
const LISTEN: Duration = Duration::from_millis(20);

/// Where a device keeps what is looked at.
#[derive(Debug, Clone)]
pub(super) struct Whereabouts {
    root: PathBuf,
    state_dir: PathBuf,
    has_process: bool,
}

impl Whereabouts {
    pub(super) fn of(agent: &Agent, has_process: bool) -> Self {
        Self { root: agent.root(), state_dir: agent.state_dir(), has_process }
    }

    /// The files that documents may declare.
    fn files(&self) -> Contents {
        let content = |path: &str| fs::read(self.root.join(path.trim_start_matches('/'))).ok();
        let text = |path| content(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        FILES.into_iter().map(|path| (path.to_owned(), text(path))).collect()
    }

    /// The process that documents may declare, and which declaration it was started for.
    fn process(&self) -> Option<(String, ProcessIdentity)> {
        let folder = ProcessFolder::of(self.state_dir.join("processes").join(HELD));
        let process = ShimRecord::read(&folder.shim_record()).ok()??.process?;
        let command = fs::read_to_string(format!("/proc/{}/cmdline", process.pid)).ok()?;
        let mut words = command.split('\0');
        let content = (words.next() == Some("sleep")).then(|| words.nth(1))??.to_owned();
        // Its number may have passed on to another one meanwhile.
        (ProcessIdentity::of(process.pid).ok()? == Some(process)).then_some((content, process))
    }

    /// All that documents may declare.
    pub(super) fn contents(&self) -> Contents {
        let process = || (PROCESS.to_owned(), self.process().map(|(content, _)| content));
        self.files().into_iter().chain(self.has_process.then(process)).collect()
    }

    /// When the process started whose state was last noted there.
    pub(super) fn started_at(&self) -> Option<Timestamp> {
        serde_json::from_value(self.snapshot()?["status"]["agentInfo"]["startedAt"].take()).ok()
    }

    /// Whether the device knows that another one has its name.
    pub(super) fn knows_of_a_duplicate(&self) -> bool {
        self.snapshot().is_some_and(|snapshot| !snapshot["duplicateIdentity"].is_null())
    }

    fn snapshot(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.state_dir.join("status.json")).ok()?).ok()
    }
}

/// What the eyes share with the field.
#[derive(Debug, Clone, Default)]
pub(super) struct Scene {
    pub(super) coordinator: Shared<Coordinator>,
    /// All that there ever were. `None` for clones that are gone: what they said may be heard yet.
    pub(super) bodies: Shared<BTreeMap<Body, Option<Whereabouts>>>,
    /// The next status to be heard of.
    pub(super) next: Shared<Next>,
}

/// Something that all look at, one after the other.
#[derive(Debug, Default)]
pub(super) struct Shared<T>(Arc<Mutex<T>>);

impl<T> Shared<T> {
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A place in the stream of statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    /// How often the store was replaced.
    store: u64,
    revision: u64,
}

impl Default for Next {
    fn default() -> Self {
        Self { store: 0, revision: 1 }
    }
}

impl Next {
    /// The store is another one, to be read from its beginning.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { store: self.store + 1, revision: 1 };
    }
}

/// What a message on the server means, by the device that it is about.
type SeenOf = fn(usize) -> Event;

/// Looks until it is dropped.
#[derive(Debug)]
pub(super) struct Eyes {
    /// End when dropped.
    _tasks: JoinSet<()>,
}

impl Eyes {
    pub(super) async fn open(platform: &Platform, scene: &Scene) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_disks(scene.clone()));
        tasks.spawn(follow_statuses(platform.clone(), scene.clone()));
        let reads = |bucket: &str| format!("$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.*");
        let traffic: [(String, SeenOf); 3] = [
            (reads(DESIRED_STATE), |device| Event::Reads(device, DESIRED_STATE)),
            (reads(ACTUAL_STATE), |device| Event::Reads(device, ACTUAL_STATE)),
            (format!("$KV.{ACTUAL_STATE}.*"), Event::Writes),
        ];
        for (subject, event) in traffic {
            let mut messages = platform.client.subscribe(subject).await.expect("connected");
            let coordinator = scene.coordinator.clone();
            tasks.spawn(async move {
                while let Some(message) = messages.next().await {
                    coordinator.lock().note(event(device_of(&message.subject)));
                }
            });
        }
        platform.client.flush().await.expect("connected");
        Self { _tasks: tasks }
    }
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

/// Who has a name since when.
type Starts = BTreeMap<(usize, Timestamp), Body>;

/// Notes each status that is stored, in the order of the stream. The stream is asked and not consumed: so
/// there is nothing that a restart of the server could lose.
async fn follow_statuses(platform: Platform, scene: Scene) {
    let mut starts = Starts::new();
    loop {
        let next = *scene.next.lock();
        match status_of_revision(&platform, next.revision).await {
            // Of a store that is no more there is nothing to be heard.
            Ok(Some(message)) if *scene.next.lock() == next => {
                scene.next.lock().revision += 1;
                let told = told(&message, &scene, &mut starts);
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

fn told(message: &StreamMessage, scene: &Scene, starts: &mut Starts) -> Told {
    let device = device_of(&message.subject);
    let status: AgentStatus = serde_json::from_slice(&message.payload).expect("a device tells its status");
    let started_at = status.agent_info.started_at;
    let bodies = scene.bodies.lock();
    let mut candidates = bodies.iter().filter(|(body, _)| body.device == device);
    let about = starts.get(&(device, started_at)).copied().or_else(|| {
        let is_its = |whereabouts: &Whereabouts| whereabouts.started_at() == Some(started_at);
        let found = candidates.clone().find(|(_, whereabouts)| whereabouts.as_ref().is_some_and(is_its));
        let only = || candidates.next().filter(|_| candidates.next().is_none());
        found.or_else(only).map(|(body, _)| *body)
    });
    starts.extend(about.map(|body| ((device, started_at), body)));
    let whereabouts = about.and_then(|body| bodies.get(&body)?.as_ref());
    let disk = whereabouts.map(Whereabouts::files).unwrap_or_default();
    Told { device, about, revision: message.sequence, status, disk }
}
