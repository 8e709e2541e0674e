//! Pulling images, each by a task of its own: a pass finds how far it is, and a newer document ends it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent_model::{Failure, ResourceName};
use bollard::{Docker, models::CreateImageInfo, query_parameters::CreateImageOptions};
use crash_point::crash_point;
use futures_util::StreamExt;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{
    credentials,
    engine::{Engine, LOOK},
    failures,
    observation::Image,
    pull_failures,
    pulled_images::PulledImages,
};
use crate::workload::{Wakes, backoff};

/// A pull that says nothing for so long is given up.
const SILENT: Duration = Duration::from_secs(600);
/// How often somebody who waits hears how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(15);
/// Layers that are counted; more than any image has (127).
const MAX_LAYERS: usize = 256;

/// All pulls, by the resource that they are for.
#[derive(Debug)]
pub(super) struct Pulls {
    engine: Arc<Engine>,
    wakes: Arc<Wakes>,
    logins: Vec<PathBuf>,
    images: Arc<PulledImages>,
    pulls: Mutex<BTreeMap<ResourceName, Pull>>,
}

#[derive(Debug)]
struct Pull {
    reference: String,
    state: Arc<Mutex<PullState>>,
    task: JoinHandle<()>,
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone)]
enum PullState {
    Running { progress: String },
    Done,
    Failed { failure: Failure, attempts: u64, again_at: Instant },
}

impl Pulls {
    pub(super) fn new(
        engine: Arc<Engine>,
        wakes: Arc<Wakes>,
        logins: Vec<PathBuf>,
        images: Arc<PulledImages>,
    ) -> Self {
        Self { engine, wakes, logins, images, pulls: Mutex::default() }
    }

    /// Begins to pull an image for a resource.
    pub(super) fn begin(&self, name: &ResourceName, reference: &str) {
        let mut pulls = self.lock();
        let before =
            pulls.get(name).filter(|pull| pull.reference == reference).map(|pull| lock(&pull.state).clone());
        let failures_before = match before {
            Some(PullState::Running { .. }) => return,
            Some(PullState::Failed { attempts, .. }) => attempts,
            Some(PullState::Done) | None => 0,
        };
        let progress = format!("the image {reference} is being pulled");
        let state = Arc::new(Mutex::new(PullState::Running { progress }));
        let work = Work {
            engine: Arc::clone(&self.engine),
            wakes: Arc::clone(&self.wakes),
            logins: self.logins.clone(),
            images: Arc::clone(&self.images),
            name: name.clone(),
            reference: reference.to_owned(),
            state: Arc::clone(&state),
        };
        let task = tokio::spawn(work.run(failures_before));
        pulls.insert(name.clone(), Pull { reference: reference.to_owned(), state, task });
    }

    /// How the pull of that image stands; the image itself where there is none, or it is over.
    pub(super) fn state(
        &self,
        name: &ResourceName,
        reference: &str,
        image: impl FnOnce(bool) -> Image,
    ) -> Image {
        let pulls = self.lock();
        let Some(pull) = pulls.get(name).filter(|pull| pull.reference == reference) else {
            return image(false);
        };
        match lock(&pull.state).clone() {
            PullState::Running { progress } => Image::Pulling { progress },
            PullState::Done => image(true),
            PullState::Failed { failure, attempts, again_at } => {
                let wait = again_at.saturating_duration_since(Instant::now());
                Image::NotPulled { failure, attempts, wait }
            }
        }
    }

    /// Whether it is not over: then the image itself is not worth a look.
    pub(super) fn is_under_way(&self, name: &ResourceName, reference: &str) -> bool {
        let pulls = self.lock();
        let pull = pulls.get(name).filter(|pull| pull.reference == reference);
        pull.is_some_and(|pull| !matches!(*lock(&pull.state), PullState::Done))
    }

    /// What was pulled has been used.
    pub(super) fn over(&self, name: &ResourceName) {
        self.lock().remove(name);
    }

    /// Ends what nobody waits for any more: `wanted` says of which image each resource does.
    pub(super) fn keep(&self, wanted: &BTreeMap<ResourceName, String>) {
        self.lock().retain(|name, pull| wanted.get(name) == Some(&pull.reference));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ResourceName, Pull>> {
        lock(&self.pulls)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One pull, with all that it needs.
struct Work {
    engine: Arc<Engine>,
    wakes: Arc<Wakes>,
    logins: Vec<PathBuf>,
    images: Arc<PulledImages>,
    name: ResourceName,
    reference: String,
    state: Arc<Mutex<PullState>>,
}

impl Work {
    async fn run(self, failures_before: u64) {
        let state = match self.pull().await {
            Ok(()) => PullState::Done,
            Err(failure) => {
                let attempts = failures_before.saturating_add(1);
                let wait = jittered(backoff::delay(attempts));
                PullState::Failed { failure, attempts, again_at: Instant::now() + wait }
            }
        };
        *lock(&self.state) = state;
        self.wakes.wake(&self.name);
    }

    async fn pull(&self) -> Result<(), Failure> {
        let was_there = self.id().await?;
        let (_, client) = self.engine.client()?;
        let (reference, files) = (self.reference.clone(), self.logins.clone());
        let login = tokio::task::spawn_blocking(move || credentials::login_for(&reference, &files)).await;
        let login = login.map_err(|error| failures::interrupted(&error))?;
        crash_point();
        self.follow(client, login).await?;
        crash_point();
        let Some(id) = self.id().await? else {
            return Err(pull_failures::classified(
                &self.reference,
                "the runtime has no image of that name afterwards",
            ));
        };
        self.images.pulled(&self.reference, was_there.as_deref(), &id);
        crash_point();
        Ok(())
    }

    /// The id of the image, if the device has it.
    async fn id(&self) -> Result<Option<String>, Failure> {
        image_id(&self.engine, &self.reference).await
    }

    async fn follow(
        &self,
        client: Docker,
        login: Option<bollard::auth::DockerCredentials>,
    ) -> Result<(), Failure> {
        let options =
            CreateImageOptions { from_image: Some(from_image(&self.reference)), ..Default::default() };
        let mut news = client.with_timeout(SILENT).create_image(Some(options), None, login);
        let mut layers = Layers::default();
        let mut told = Instant::now();
        loop {
            match timeout(SILENT, news.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(info))) => layers.take(&info),
                Ok(Some(Err(error))) => return Err(pull_failures::of(&self.reference, &error)),
                Err(_) => {
                    let silent = format!("nothing was heard for {}", humantime::format_duration(SILENT));
                    return Err(pull_failures::classified(&self.reference, &silent));
                }
            }
            if told.elapsed() >= TOLD_EVERY {
                told = Instant::now();
                let progress = format!("the image {} is being pulled{layers}", self.reference);
                *lock(&self.state) = PullState::Running { progress };
                self.wakes.wake(&self.name);
            }
        }
    }
}

/// The id of an image, if the device has it.
pub(super) async fn image_id(engine: &Engine, reference: &str) -> Result<Option<String>, Failure> {
    let name = reference.to_owned();
    match engine.ask(LOOK, |client| async move { client.inspect_image(&name).await }).await {
        Ok(image) => Ok(image.id),
        Err(refusal) if refusal.is_not_found() => Ok(None),
        Err(refusal) => Err(refusal.into_failure("look for its image")),
    }
}

/// Without a tag docker pulls all that there are.
fn from_image(reference: &str) -> String {
    let path_from = reference.rfind('/').map_or(0, |slash| slash + 1);
    let has_one = reference[path_from..].contains([':', '@']);
    if has_one { reference.to_owned() } else { format!("{reference}:latest") }
}

/// Half of the time to all of it: those who could not reach a registry are not to come back to it as one wave.
fn jittered(delay: Duration) -> Duration {
    let random = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    delay / 2 + delay * random / 512
}

/// How far the layers of an image are.
#[derive(Debug, Default)]
struct Layers(BTreeMap<String, Layer>);

#[derive(Debug, Default)]
struct Layer {
    current: i64,
    total: i64,
    is_done: bool,
}

impl Layers {
    fn take(&mut self, info: &CreateImageInfo) {
        let Some(id) = info.id.as_ref().filter(|id| self.0.len() < MAX_LAYERS || self.0.contains_key(*id))
        else {
            return;
        };
        let layer = self.0.entry(id.chars().take(80).collect()).or_default();
        let status = info.status.as_deref().unwrap_or_default();
        layer.is_done |= ["complete", "exists", "Complete"].iter().any(|word| status.contains(word));
        if let Some(progress) = &info.progress_detail {
            layer.current = progress.current.unwrap_or(layer.current);
            layer.total = progress.total.unwrap_or(layer.total);
        }
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let done = self.0.values().filter(|layer| layer.is_done).count();
        write!(f, ": {done} of {} layers", self.0.len())?;
        let sum = |of: fn(&Layer) -> i64| self.0.values().map(of).fold(0_i64, i64::saturating_add) >> 20;
        let total = sum(|layer| layer.total);
        if total > 0 { write!(f, ", {} of {total} MiB", sum(|layer| layer.current)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn without_a_tag_the_latest_is_pulled_and_nothing_else() {
        for (reference, pulled) in [
            ("box", "box:latest"),
            ("localhost:5000/box", "localhost:5000/box:latest"),
            ("localhost:5000/box:1", "localhost:5000/box:1"),
            ("box@sha256:00", "box@sha256:00"),
        ] {
            assert_eq!(from_image(reference), pulled);
        }
    }

    #[test]
    fn progress_counts_layers_and_what_is_known_of_their_size() {
        let mut layers = Layers::default();
        assert_eq!(layers.to_string(), "");
        let mut take = |id: &str, status: &str, current, total| {
            layers.take(&CreateImageInfo {
                id: Some(id.to_owned()),
                status: Some(status.to_owned()),
                progress_detail: Some(ProgressDetail { current, total }),
                ..CreateImageInfo::default()
            });
            layers.to_string()
        };
        assert_eq!(take("a", "Pulling fs layer", None, None), ": 0 of 1 layers");
        assert_eq!(take("a", "Downloading", Some(3 << 20), Some(9 << 20)), ": 0 of 1 layers, 3 of 9 MiB");
        assert_eq!(take("b", "Already exists", None, None), ": 1 of 2 layers, 3 of 9 MiB");
        assert_eq!(take("a", "Download complete", None, None), ": 2 of 2 layers, 3 of 9 MiB");
        for number in 0..1000 {
            take(&number.to_string(), "Pulling fs layer", None, None);
        }
        assert_eq!(layers.0.len(), MAX_LAYERS);
    }

    #[test]
    fn jitter_stays_between_half_and_all_of_the_time() {
        for _ in 0..100 {
            let wait = jittered(Duration::from_secs(8));
            assert!((Duration::from_secs(4)..=Duration::from_secs(8)).contains(&wait), "{wait:?}");
        }
    }
}
