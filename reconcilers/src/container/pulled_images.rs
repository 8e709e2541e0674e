//! The images that this agent pulled: those that nobody uses are removed after a while, and when space is short.
//!
//! Only what is noted here is ever removed. Without its file nothing is, and what was pulled stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bollard::query_parameters::RemoveImageOptions;
use crash_point::crash_point;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    engine::{Engine, LOOK, WORK},
    failures,
};

/// So many images are noted at most; of more, those that are used no longer for the longest time are forgotten,
/// and stay.
const MAX_IMAGES: usize = 256;
/// Below so much free space nothing is pulled, and images that nobody uses are removed at once.
pub(super) const MARGIN: u64 = 256 << 20;
/// Below so much free space no container is created, and none is stopped to be replaced: what a runtime writes down for
/// one, and a little for itself to start.
pub(super) const LEAST: u64 = 16 << 20;
/// How often it is looked whether something is to be removed, where a pass comes by.
const LOOKED_EVERY: Duration = Duration::from_secs(60);

/// The images, by id, and how long they stay.
#[derive(Debug)]
pub(super) struct PulledImages {
    engine: Arc<Engine>,
    file: PathBuf,
    kept_for: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    images: Images,
    looked: Option<Instant>,
}

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Images {
    images: BTreeMap<String, Pulled>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pulled {
    /// What it was pulled by; `None` once that means another image.
    reference: Option<String>,
    /// Since when nobody uses it, in seconds since 1970; `None` while somebody does.
    unused_since: Option<u64>,
}

impl PulledImages {
    pub(super) fn new(engine: Arc<Engine>, file: PathBuf, kept_for: Duration) -> Self {
        let images = read(&file);
        Self { engine, file, kept_for, inner: Mutex::new(Inner { images, looked: None }) }
    }

    /// Notes a pull. What was there before and not noted is somebody else's.
    pub(super) fn pulled(&self, reference: &str, was_there: Option<&str>, id: &str) {
        let mut inner = self.lock();
        if was_there == Some(id) && !inner.images.images.contains_key(id) {
            return;
        }
        inner.images.note(reference, id);
        self.write(&inner.images);
    }

    /// Learns what is used. Returns what nobody has used for long enough.
    pub(super) fn used(
        &self,
        images: &BTreeSet<String>,
        references: &BTreeSet<&str>,
        is_short: bool,
    ) -> Vec<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let kept_for = if is_short { Duration::ZERO } else { self.kept_for };
        let mut inner = self.lock();
        let (due, changed) = inner.images.used(images, references, now, kept_for);
        if changed {
            self.write(&inner.images);
        }
        due
    }

    /// Whether it is time to look for what can be removed.
    pub(super) fn is_time(&self) -> bool {
        let mut inner = self.lock();
        if inner.images.images.is_empty()
            || inner.looked.is_some_and(|looked| looked.elapsed() < LOOKED_EVERY)
        {
            return false;
        }
        inner.looked = Some(Instant::now());
        true
    }

    /// Removes images. The runtime refuses for those that somebody uses after all.
    pub(super) async fn remove(&self, ids: Vec<String>) {
        for id in ids {
            if self.is_somebody_elses_too(&id).await {
                self.forget(&id);
                continue;
            }
            crash_point();
            let removed = {
                let id = id.clone();
                let ask = |client: bollard::Docker| async move {
                    client.remove_image(&id, None::<RemoveImageOptions>, None).await
                };
                self.engine.ask(WORK, ask).await
            };
            match removed {
                Ok(_) => tracing::info!(image = id, "an image that nobody uses was removed"),
                Err(refusal) if refusal.is_not_found() => {}
                Err(refusal) => {
                    let failure = refusal.into_failure("remove an image that nobody uses");
                    tracing::debug!(image = id, %failure, "an image stays");
                    continue;
                }
            }
            crash_point();
            self.forget(&id);
        }
    }

    /// Whether it has a name that this agent did not pull it by: then somebody has tagged it.
    async fn is_somebody_elses_too(&self, id: &str) -> bool {
        let reference = self.lock().images.images.get(id).and_then(|pulled| pulled.reference.clone());
        let name = id.to_owned();
        match self.engine.ask(LOOK, |client| async move { client.inspect_image(&name).await }).await {
            Ok(image) => {
                let tags = image.repo_tags.unwrap_or_default();
                tags.iter().any(|tag| reference.as_ref().is_none_or(|reference| !is_named(tag, reference)))
            }
            Err(_) => false,
        }
    }

    fn forget(&self, id: &str) {
        let mut inner = self.lock();
        if inner.images.images.remove(id).is_some() {
            self.write(&inner.images);
        }
    }

    /// What cannot be written is an image that stays.
    fn write(&self, images: &Images) {
        let written =
            serde_json::to_vec(images).map_err(io::Error::from).and_then(|text| replace(&self.file, &text));
        if let Err(error) = written {
            tracing::warn!(path = %self.file.display(), %error, "what images were pulled cannot be noted");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Images {
    fn note(&mut self, reference: &str, id: &str) {
        for pulled in self.images.values_mut() {
            pulled.reference.take_if(|known| known == reference);
        }
        let pulled = Pulled { reference: Some(reference.to_owned()), unused_since: None };
        self.images.insert(id.to_owned(), pulled);
        while self.images.len() > MAX_IMAGES {
            let first = self.images.iter().filter(|(known, _)| *known != id);
            let oldest = first.min_by_key(|(_, pulled)| pulled.unused_since.unwrap_or(u64::MAX));
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
            self.images.remove(&oldest);
        }
    }

    /// Notes what is used at `now`. Returns what nobody has used for so long, and whether anything changed.
    fn used(
        &mut self,
        images: &BTreeSet<String>,
        references: &BTreeSet<&str>,
        now: u64,
        kept_for: Duration,
    ) -> (Vec<String>, bool) {
        let mut due = Vec::new();
        let mut changed = false;
        for (id, pulled) in &mut self.images {
            let declared =
                pulled.reference.as_deref().is_some_and(|reference| references.contains(reference));
            if declared || images.contains(id) {
                changed |= pulled.unused_since.take().is_some();
                continue;
            }
            // A clock that was set back must not keep it for ever.
            if pulled.unused_since.is_none_or(|since| since > now) {
                pulled.unused_since = Some(now);
                changed = true;
            }
            let unused_for = pulled.unused_since.map_or(0, |since| now.saturating_sub(since));
            if unused_for >= kept_for.as_secs() {
                due.push(id.clone());
            }
        }
        (due, changed)
    }
}

/// Whether a tag is what the reference means; runtimes complete both.
fn is_named(tag: &str, reference: &str) -> bool {
    let tagged = |text: &str| {
        let path_from = text.rfind('/').map_or(0, |slash| slash + 1);
        if text[path_from..].contains([':', '@']) { text.to_owned() } else { format!("{text}:latest") }
    };
    let (tag, reference) = (tagged(tag), tagged(reference));
    tag == reference
        || ["docker.io/library/", "docker.io/"].iter().any(|hub| tag == format!("{hub}{reference}"))
}

fn read(file: &Path) -> Images {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Images::default(),
        Err(error) => {
            tracing::warn!(path = %file.display(), %error, "what images were pulled cannot be read; they stay");
            return Images::default();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(
            path = %file.display(),
            error = failures::quoted(&error.to_string()),
            "what images were pulled cannot be read; they stay"
        );
        Images::default()
    })
}

fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    use std::io::Write;

    let new = file.with_extension("json.new");
    let mut written = fs::File::create(&new)?;
    written.write_all(text)?;
    written.sync_all()?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<T: Ord>(values: impl IntoIterator<Item = T>) -> BTreeSet<T> {
        values.into_iter().collect()
    }

    #[test]
    fn an_image_goes_when_nobody_has_used_it_for_long_enough() {
        let mut images = Images::default();
        images.note("box:1", "one");
        images.note("box:2", "two");
        let hour = Duration::from_secs(3600);
        let none = set::<String>([]);
        let mut used = |ids: &BTreeSet<String>, references: &[&str], now| {
            images.used(ids, &set(references.iter().copied()), now, hour).0
        };
        assert!(used(&none, &["box:1"], 1000).is_empty());
        assert!(used(&none, &["box:1"], 1000 + 3599).is_empty());
        assert_eq!(used(&none, &["box:1"], 1000 + 3600), ["two"]);
        assert!(used(&set(["two".to_owned()]), &["box:1"], 5000).is_empty(), "somebody uses it again");
        assert!(used(&none, &[], 9000).is_empty(), "unused from now on");
        assert!(used(&none, &[], 10).is_empty(), "the clock was set back");
        assert_eq!(used(&none, &[], 3610), ["one", "two"]);
    }

    #[test]
    fn an_image_that_its_reference_no_longer_means_is_used_by_containers_only() {
        let mut images = Images::default();
        images.note("box:1", "old");
        images.note("box:1", "new");
        let (due, _) = images.used(&set([]), &set(["box:1"]), 10, Duration::ZERO);
        assert_eq!(due, ["old"]);
    }

    #[test]
    fn no_more_images_are_noted_than_fit() {
        let mut images = Images::default();
        for number in 0..2 * MAX_IMAGES {
            images.note(&number.to_string(), &number.to_string());
        }
        assert_eq!(images.images.len(), MAX_IMAGES);
        assert!(images.images.contains_key(&(2 * MAX_IMAGES - 1).to_string()));
    }

    #[test]
    fn a_tag_is_the_reference_as_runtimes_complete_it() {
        for (tag, reference, expected) in [
            ("docker.io/library/box:latest", "box", true),
            ("docker.io/team/box:1", "team/box:1", true),
            ("localhost/box:1", "box:1", false),
            ("r:5000/box:latest", "r:5000/box", true),
        ] {
            assert_eq!(is_named(tag, reference), expected, "{tag} {reference}");
        }
    }
}
