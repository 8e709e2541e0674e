//! What the eyes look at, and what they share with the field.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agent_model::Timestamp;
use process_shim::{ProcessFolder, ProcessIdentity, ShimRecord};
use serde_json::Value;

use super::paper::{FILES, HELD, PROCESS};
use crate::{
    agent::Agent,
    coordinator::{Body, Contents, Coordinator},
};

/// Where a device keeps what is looked at.
#[derive(Debug, Clone)]
pub(super) struct Whereabouts {
    root: PathBuf,
    state_dir: PathBuf,
    pub(super) has_process: bool,
}

impl Whereabouts {
    pub(super) fn of(agent: &Agent, has_process: bool) -> Self {
        Self { root: agent.root(), state_dir: agent.state_dir(), has_process }
    }

    /// The files that documents may declare.
    pub(super) fn files(&self) -> Contents {
        let content = |path: &str| fs::read(self.root.join(path.trim_start_matches('/'))).ok();
        let text = |path| content(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        FILES.into_iter().map(|path| (path.to_owned(), text(path))).collect()
    }

    /// The process that documents may declare, and which declaration it was started for.
    pub(super) fn process(&self) -> Option<(String, ProcessIdentity)> {
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
    /// Whose process it was that started under a name at a time.
    starts: Shared<BTreeMap<(usize, Timestamp), Body>>,
}

impl Scene {
    /// The device whose state a process of that start describes.
    pub(super) fn body_of(&self, device: usize, started_at: Timestamp) -> Option<Body> {
        let mut starts = self.starts.lock();
        if let Some(body) = starts.get(&(device, started_at)) {
            return Some(*body);
        }
        let bodies = self.bodies.lock();
        let mut candidates = bodies.iter().filter(|(body, _)| body.device == device);
        let is_its = |whereabouts: &Whereabouts| whereabouts.started_at() == Some(started_at);
        let found = candidates.clone().find(|(_, whereabouts)| whereabouts.as_ref().is_some_and(is_its));
        let only = || candidates.next().filter(|_| candidates.next().is_none());
        let body = found.or_else(only).map(|(body, _)| *body)?;
        starts.insert((device, started_at), body);
        Some(body)
    }

    /// All that a device has; `None` of one that is gone.
    pub(super) fn contents(&self, body: Body) -> Option<Contents> {
        self.bodies.lock().get(&body)?.as_ref().map(Whereabouts::contents)
    }

    /// What each has that has that name now.
    pub(super) fn contents_of_all(&self, device: usize) -> Vec<(Body, Contents)> {
        let bodies = self.bodies.lock();
        let of_device = bodies.iter().filter(|(body, _)| body.device == device);
        of_device.filter_map(|(body, here)| Some((*body, here.as_ref()?.contents()))).collect()
    }
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
    pub(super) revision: u64,
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
