//! `harmony-agent pause` and `resume`.

use std::{io, time::Duration};

use agent_core::{pause::Pause, safe_mode::SafeMode, state_dir::StateLayout, status::snapshot::Snapshot};
use agent_model::Timestamp;
use tokio::time::{Instant, sleep};

use crate::{
    CommandError, Exit,
    cli::{PauseArgs, StateFolder},
    say,
};

/// How long a running agent may take to say that it holds changes back: it ends the step that it is
/// in first.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);
/// How often that is looked for.
const GLANCE: Duration = Duration::from_millis(50);

pub(crate) async fn pause(args: &PauseArgs) -> Result<Exit, CommandError> {
    let layout = StateLayout::of(args.state.find()?);
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

pub(crate) fn resume(folder: &StateFolder) -> Result<Exit, CommandError> {
    let layout = StateLayout::of(folder.find()?);
    let safe_mode = SafeMode::end(&layout).map_err(|error| cannot_write(&layout, &error))?;
    let paused = Pause::end(&layout).map_err(|error| cannot_write(&layout, &error))?;
    if let Some(SafeMode { generation, crashes, .. }) = safe_mode {
        say(&format!(
            "safe mode is ended: generation {generation}, with which the agent crashed {crashes} times, is tried again\n"
        ));
    }
    if paused {
        say("resumed: what was held back is done now\n");
    }
    if safe_mode.is_none() && !paused {
        say("there was no pause and no safe mode\n");
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
