//! What holds changes back on this device, as the daemon hears of it: a pause, and safe mode. Both
//! are files in the state folder, which people begin and end with commands of their own.

use std::{io, path::Path, time::Duration};

use agent_core::{pause::Pause, safe_mode::SafeMode, state_dir::StateLayout};
use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::{sync::watch, time::sleep};

/// How often the state folder is looked at where it cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// Room for the events of one read.
const EVENT_BUFFER: usize = 4096;

/// What holds changes back, as it begins and ends.
pub(crate) struct Holds {
    /// The pause, if there is one.
    pub(crate) pause: watch::Receiver<Option<Pause>>,
    /// Whether there is safe mode.
    pub(crate) safe_mode: watch::Receiver<bool>,
}

impl Holds {
    /// Those that there are now, for an agent whose state folder nobody watches.
    pub(crate) fn as_found(layout: &StateLayout) -> Self {
        Teller::new(layout.clone()).1
    }
}

/// The holds of that state folder.
pub(crate) fn follow(layout: &StateLayout) -> Holds {
    // Watched before they are read, so that nothing between the two is missed.
    let changes = changes(layout);
    let (teller, holds) = Teller::new(layout.clone());
    match changes {
        Ok(changes) => drop(tokio::spawn(tell_changes(changes, teller))),
        Err(error) => {
            tracing::warn!(%error, "the state folder cannot be watched; it is looked at for a pause every few seconds");
            tokio::spawn(look_again_and_again(teller));
        }
    }
    holds
}

fn changes(layout: &StateLayout) -> io::Result<EventStream<[u8; EVENT_BUFFER]>> {
    let inotify = Inotify::init()?;
    inotify.watches().add(layout.path(), WatchMask::MOVE | WatchMask::CLOSE_WRITE | WatchMask::DELETE)?;
    inotify.into_event_stream([0; EVENT_BUFFER])
}

async fn tell_changes(mut changes: EventStream<[u8; EVENT_BUFFER]>, teller: Teller) {
    let (pause, unfinished) = (teller.layout.pause(), teller.layout.unfinished());
    while let Some(change) = changes.next().await {
        // An error or an event without a name may stand for anything.
        let name = change.ok().and_then(|event| event.name);
        let concerns = |file: &Path| name.is_none() || name.as_deref() == file.file_name();
        if concerns(&pause) {
            teller.tell_pause();
        }
        if concerns(&unfinished) {
            teller.tell_safe_mode();
        }
    }
}

/// Where the system has no watch left: neither a hold nor its end may wait for the next start.
async fn look_again_and_again(teller: Teller) {
    while !teller.pause.is_closed() {
        sleep(LOOK_AGAIN).await;
        teller.tell_pause();
        teller.tell_safe_mode();
    }
}

/// Reads the files and tells what has changed.
struct Teller {
    layout: StateLayout,
    pause: watch::Sender<Option<Pause>>,
    safe_mode: watch::Sender<bool>,
}

impl Teller {
    fn new(layout: StateLayout) -> (Self, Holds) {
        let (pause, pause_end) = watch::channel(Pause::read(&layout));
        let (safe_mode, safe_mode_end) = watch::channel(SafeMode::read(&layout).is_some());
        (Self { layout, pause, safe_mode }, Holds { pause: pause_end, safe_mode: safe_mode_end })
    }

    fn tell_pause(&self) {
        set(&self.pause, Pause::read(&self.layout));
    }

    fn tell_safe_mode(&self) {
        set(&self.safe_mode, SafeMode::read(&self.layout).is_some());
    }
}

fn set<T: PartialEq + Copy>(sender: &watch::Sender<T>, now: T) {
    sender.send_if_modified(|known| std::mem::replace(known, now) != now);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use agent_model::Timestamp;

    use super::*;

    const IN_SAFE_MODE: &str = r#"{"passes": [{
        "document": {"generation": 7, "digest": "sha256:01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b"},
        "underWay": false, "found": [], "safeModeSince": "2026-01-31T12:00:00Z"
    }]}"#;

    #[tokio::test(start_paused = true)]
    async fn without_a_watch_what_begins_and_ends_is_found_by_looking() {
        let folder = tempfile::tempdir().unwrap();
        let layout = StateLayout::of(folder.path());
        let (teller, mut holds) = Teller::new(layout.clone());
        tokio::spawn(look_again_and_again(teller));
        let pause = Pause { begun: Some(Timestamp::UNIX_EPOCH), until: None };
        pause.begin(&layout).unwrap();
        holds.pause.wait_for(|known| *known == Some(pause)).await.unwrap();
        Pause::end(&layout).unwrap();
        holds.pause.wait_for(Option::is_none).await.unwrap();

        fs::write(layout.unfinished(), IN_SAFE_MODE).unwrap();
        holds.safe_mode.wait_for(|known| *known).await.unwrap();
        assert!(SafeMode::end(&layout).unwrap().is_some());
        holds.safe_mode.wait_for(|known| !*known).await.unwrap();
    }
}
