//! Turns file system events into wakes: a claim for each change that is news.

use std::{collections::BTreeSet, io, sync::Arc};

use agent_model::{Claim, TargetPath};
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use inotify::EventOwned;

use super::{Device, content, observe, sightings::Sighting, walk::Walker, watcher::Touched};

/// Events judged at a time.
const BATCH: usize = 256;

/// The kernel's answers are read into this many bytes: room for some 100 events.
const BUFFER: usize = 8 * 1024;

/// How often an event is judged anew because a step of ours came in between.
const JUDGEMENTS: usize = 8;

/// The claims that something happened to. Never ends.
pub(super) fn wakes(device: Arc<Device>) -> impl Stream<Item = Claim> + Send + 'static {
    // The instance becomes a stream when first polled: that needs the runtime.
    let batches = stream::once(async move { events(&device).zip(stream::repeat(device)) }).flatten().then(
        |(events, device)| async move {
            let judged = tokio::task::spawn_blocking(move || news(&device, &events)).await;
            stream::iter(judged.unwrap_or_default())
        },
    );
    batches.flatten().chain(stream::pending())
}

/// Events in batches, until reading them fails.
fn events(device: &Device) -> stream::BoxStream<'static, Vec<EventOwned>> {
    let Some(instance) = device.watcher.take_instance() else { return stream::pending().boxed() };
    match instance.into_event_stream(vec![0; BUFFER]) {
        Ok(events) => events
            .scan((), |(), event: io::Result<EventOwned>| async move {
                event
                    .inspect_err(|error| {
                        tracing::warn!(%error, "files are watched no longer; restart the agent to watch them");
                    })
                    .ok()
            })
            .ready_chunks(BATCH)
            .boxed(),
        Err(error) => {
            tracing::warn!(%error, "files cannot be watched, so drift is found by the drift timer only");
            stream::pending().boxed()
        }
    }
}

/// The claims that these events are news about. Blocking.
pub(super) fn news(device: &Device, events: &[EventOwned]) -> Vec<Claim> {
    let mut touched = BTreeSet::new();
    let mut unseen = BTreeSet::new();
    for event in events {
        for what in device.watcher.touched(event) {
            match what {
                Touched::Path(path) => touched.extend(device.sightings.declared_at(Some(&path))),
                Touched::Unseen(top) => unseen.extend(device.sightings.declared_at(top.as_ref())),
            }
        }
    }
    touched.retain(|path| !unseen.contains(path));
    if !touched.is_empty() {
        let protected = device.protection.resolved();
        // The walk watches folders that have just come to be. Without a root nobody knows: a pass
        // will tell.
        if let Ok(mut walker) = Walker::open(&device.root, &protected, &device.watcher) {
            touched.retain(|path| is_news(device, &mut walker, path));
        }
    }
    touched.into_iter().chain(unseen).map(Claim::File).collect()
}

/// Whether `path` is not as it was seen last, or as we left it.
pub(super) fn is_news(device: &Device, walker: &mut Walker<'_>, path: &TargetPath) -> bool {
    for _ in 0..JUDGEMENTS {
        let Some(seen) = device.sightings.when_idle(path) else { return false };
        let Some(last) = seen else { return true };
        if is_as_seen(device, walker, path, &last) {
            return false;
        }
        if device.sightings.when_idle(path) == Some(seen) {
            return true;
        }
    }
    true
}

fn is_as_seen(device: &Device, walker: &mut Walker<'_>, path: &TargetPath, last: &Sighting) -> bool {
    match observe::stamp_of(walker, path) {
        Ok(None) => last.stamp.is_none(),
        Ok(Some((_, stamp))) if last.stamp != Some(stamp) => false,
        Ok(Some(_)) if last.is_proof() => true,
        // Changed so recently that an equal stamp proves nothing: only the content can.
        Ok(Some((folder, _))) => {
            last.digest.is_some()
                && match observe::hash(device, content::open_regular(&folder, path.file_name())) {
                    Ok(now) => now.is_some_and(|now| now.stamp == last.stamp && now.digest == last.digest),
                    // Nor can a look tell more.
                    Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
                }
        }
        Err(_) => false,
    }
}
