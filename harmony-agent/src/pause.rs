//! `harmony-agent pause` and `resume`, and how the daemon hears of them.

use std::{ffi::OsString, io, time::Duration};

use agent_core::{pause::Pause, state_dir::StateLayout, status::snapshot::Snapshot};
use agent_model::Timestamp;
use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    CommandError, Exit,
    cli::{PauseArgs, ResumeArgs},
    say,
};

/// How long a running agent may take to say that it holds changes back: it ends the step that it is
/// in first.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);
/// How often that is looked for.
const GLANCE: Duration = Duration::from_millis(50);
/// How often the state folder is looked at where it cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// Room for the events of one read.
const EVENT_BUFFER: usize = 4096;

pub(crate) async fn pause(args: &PauseArgs) -> Result<Exit, CommandError> {
    let layout = StateLayout::of(&args.state_dir);
    let begun = Timestamp::now();
    let pause =
        Pause { begun: Some(begun), until: args.duration.map(|duration| begun.saturating_add(duration)) };
    pause.begin(&layout).map_err(|error| cannot_write(&layout, &error))?;
    // Looked at afterwards: an agent that starts from now on sees the pause.
    let running = layout.is_locked().map_err(|error| cannot_tell(&layout, &error))?;
    let end = pause.end_in_words();
    if !running {
        say(&format!(
            "no agent runs on {}; the next one holds changes back {end}\n",
            layout.path().display()
        ));
        return Ok(Exit::Done);
    }
    let deadline = Instant::now() + ACKNOWLEDGED_WITHIN;
    while !heeds(&layout, pause) {
        if Instant::now() > deadline {
            return Err(CommandError::failed(format!(
                "the pause is begun, but the agent has not said within {} that it holds changes back: it may be in the \
                 middle of a step; look at `harmony-agent status` before you touch anything",
                humantime::format_duration(ACKNOWLEDGED_WITHIN)
            )));
        }
        sleep(GLANCE).await;
    }
    say(&format!("paused: changes are held back {end}\n"));
    Ok(Exit::Done)
}

pub(crate) fn resume(args: &ResumeArgs) -> Result<Exit, CommandError> {
    let layout = StateLayout::of(&args.state_dir);
    match Pause::end(&layout).map_err(|error| cannot_write(&layout, &error))? {
        true => say("resumed: what was held back is done now\n"),
        false => say("there was no pause\n"),
    }
    Ok(Exit::Done)
}

/// Whether the agent says that it heeds this very pause. What it said of an earlier one may be out of date.
fn heeds(layout: &StateLayout, pause: Pause) -> bool {
    Snapshot::read(layout).is_some_and(|snapshot| snapshot.pause == Some(pause))
}

fn cannot_tell(layout: &StateLayout, error: &io::Error) -> CommandError {
    let folder = layout.path().display();
    CommandError::failed(format!(
        "the pause is begun, but whether an agent runs on {folder} cannot be told: {error}; \
         look at `harmony-agent status` before you touch anything"
    ))
}

fn cannot_write(layout: &StateLayout, error: &io::Error) -> CommandError {
    let folder = layout.path().display();
    CommandError::failed(format!(
        "cannot write {folder}: {error}; is this the agent's --state-dir, and may this user write it?"
    ))
}

/// The pause of that state folder, as it is begun and ended.
pub(crate) fn follow(layout: &StateLayout) -> watch::Receiver<Option<Pause>> {
    // Watched before it is read, so that nothing between the two is missed.
    let changes = changes(layout);
    let (sender, pause) = watch::channel(Pause::read(layout));
    match changes {
        Ok(changes) => drop(tokio::spawn(tell_changes(layout.clone(), changes, sender))),
        Err(error) => {
            tracing::warn!(%error, "the state folder cannot be watched; it is looked at for a pause every few seconds");
            tokio::spawn(look_again_and_again(layout.clone(), sender));
        }
    }
    pause
}

fn changes(layout: &StateLayout) -> io::Result<EventStream<[u8; EVENT_BUFFER]>> {
    let inotify = Inotify::init()?;
    inotify.watches().add(layout.path(), WatchMask::MOVE | WatchMask::CLOSE_WRITE | WatchMask::DELETE)?;
    inotify.into_event_stream([0; EVENT_BUFFER])
}

async fn tell_changes(
    layout: StateLayout,
    mut changes: EventStream<[u8; EVENT_BUFFER]>,
    sender: watch::Sender<Option<Pause>>,
) {
    let file = layout.pause();
    let name: Option<OsString> = file.file_name().map(OsString::from);
    while let Some(change) = changes.next().await {
        // An error or an event without a name may stand for anything.
        if change.is_ok_and(|event| event.name.is_some() && event.name != name) {
            continue;
        }
        tell(&layout, &sender);
    }
}

/// Where the system has no watch left: neither a pause nor its end may wait for the next start.
async fn look_again_and_again(layout: StateLayout, sender: watch::Sender<Option<Pause>>) {
    while !sender.is_closed() {
        sleep(LOOK_AGAIN).await;
        tell(&layout, &sender);
    }
}

fn tell(layout: &StateLayout, sender: &watch::Sender<Option<Pause>>) {
    let pause = Pause::read(layout);
    sender.send_if_modified(|known| std::mem::replace(known, pause) != pause);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_a_watch_a_pause_is_found_by_looking() {
        let folder = tempfile::tempdir().unwrap();
        let layout = StateLayout::of(folder.path());
        let (sender, mut known) = watch::channel(None);
        tokio::spawn(look_again_and_again(layout.clone(), sender));
        let pause = Pause { begun: Some(Timestamp::UNIX_EPOCH), until: None };
        pause.begin(&layout).unwrap();
        known.wait_for(|known| *known == Some(pause)).await.unwrap();
        Pause::end(&layout).unwrap();
        known.wait_for(Option::is_none).await.unwrap();
    }
}
