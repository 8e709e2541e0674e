//! Noticing that something was put where a runtime's socket is looked for, by inotify.
//!
//! The instance lasts as long as somebody waits for a runtime, which is one more than files are watched by.

use std::{collections::BTreeSet, ffi::OsString, io, path::PathBuf};

use futures_util::StreamExt;
use inotify::{Inotify, WatchMask};

/// The kernel's answers are read into this many bytes: room for some 15 events.
const BUFFER: usize = 4096;

/// Returns when something was made at one of these places, or of the folders on the way there. Where the system cannot
/// tell, it never does.
pub(super) async fn wait(places: &[PathBuf]) {
    if let Err(error) = made(places).await {
        tracing::debug!(%error, "a container runtime that appears is found a little later");
        std::future::pending::<()>().await;
    }
}

async fn made(places: &[PathBuf]) -> io::Result<()> {
    let instance = Inotify::init()?;
    let mut awaited: BTreeSet<(i32, OsString)> = BTreeSet::new();
    for place in places {
        let mut folders = place.ancestors();
        let mut next = folders.next();
        for folder in folders {
            let name = next.and_then(|next| next.file_name());
            if let (true, Some(name)) = (folder.is_dir(), name) {
                let mask = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::ONLYDIR;
                let watch = instance.watches().add(folder, mask)?;
                awaited.insert((watch.get_watch_descriptor_id(), name.to_owned()));
                break;
            }
            next = Some(folder);
        }
    }
    let mut events = instance.into_event_stream(vec![0; BUFFER])?;
    while let Some(event) = events.next().await {
        let event = event?;
        let is_awaited = |name| awaited.contains(&(event.wd.get_watch_descriptor_id(), name));
        if event.name.is_none_or(is_awaited) {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_is_made_there_or_on_the_way_there_is_noticed_and_what_is_made_beside_is_not() {
        let folder = TempDir::new().unwrap();
        let places = [folder.path().join("podman/podman.sock"), folder.path().join("docker.sock")];
        let beside = folder.path().join("beside");
        for made in [folder.path().join("podman"), places[0].clone(), places[1].clone()] {
            let waits = wait(&places);
            tokio::pin!(waits);
            // Polled once, it watches.
            assert!(timeout(Duration::ZERO, &mut waits).await.is_err());
            fs::write(&beside, "").unwrap();
            fs::remove_file(&beside).unwrap();
            assert!(timeout(Duration::from_millis(50), &mut waits).await.is_err(), "{}", made.display());
            if made.ends_with("podman") {
                fs::create_dir(&made).unwrap()
            } else {
                fs::write(&made, "").unwrap()
            }
            timeout(Duration::from_secs(10), waits).await.expect("it is noticed");
        }
    }
}
