//! Ending what no shim holds any more.

use std::{fs, io, time::Duration};

use agent_model::Failure;
use crash_point::crash_point;
use process_shim::{End, ExitRecord, ProcessFolder, ShimRecord, boot_id, boot_time, left_behind};
use rustix::process::Signal;
use tokio::time::sleep;

use super::{control_groups, failures};

/// How often what was killed is looked for again, and how long between the looks.
const SWEEPS: u32 = 40;
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

/// Kills what is left of a run, and notes in its shim's place that it is over.
pub(crate) async fn sweep(folder: &ProcessFolder, run: &str) -> Result<(), Failure> {
    end_left_behind(folder).await?;
    crash_point();
    let (folder, run) = (folder.clone(), run.to_owned());
    blocking(move || note_end(&folder, run)).await
}

/// Kills what no shim holds, until nothing is left.
pub(crate) async fn end_left_behind(folder: &ProcessFolder) -> Result<(), Failure> {
    let mut left = 0;
    for _ in 0..SWEEPS {
        left = {
            let folder = folder.clone();
            blocking(move || Ok(kill_left_behind(&folder))).await?
        };
        if left == 0 {
            return Ok(());
        }
        sleep(SWEEP_PAUSE).await;
    }
    Err(failures::left_behind(left))
}

/// Kills all that is left. Returns how many there were.
fn kill_left_behind(folder: &ProcessFolder) -> usize {
    let record = ShimRecord::read(&folder.shim_record()).ok().flatten();
    let left = left_behind(folder, record.as_ref());
    for process in &left {
        if let Err(error) = process.signal(Signal::KILL) {
            tracing::warn!(pid = process.pid, %error, "what was left behind cannot be killed");
        }
    }
    left.len()
}

fn note_end(folder: &ProcessFolder, run: String) -> Result<(), Failure> {
    let path = folder.shim_record();
    let failed = |error: &io::Error| failures::io("note the end of the run of", folder.path(), error);
    let Ok(Some(record)) = ShimRecord::read(&path) else {
        // What cannot be read tells nobody anything; without it there is no run.
        return fs::remove_file(&path).map_err(|error| failed(&error));
    };
    control_groups::remove(&record.control_groups);
    let now = std::time::SystemTime::now();
    let end = ExitRecord {
        run,
        boot_id: boot_id().map_err(|error| failed(&error))?,
        end: End::Unknown,
        timed_out: false,
        stopped: record.stopping,
        out_of_memory: false,
        ended_at: humantime::format_rfc3339_millis(now).to_string(),
        ended_ms: boot_time().as_millis().try_into().unwrap_or(u64::MAX),
    };
    end.write(&folder.exit_record()).map_err(|error| failed(&error))
}

/// Removes what is kept of something that has ended. Blocking.
pub(crate) fn clear(folder: &ProcessFolder) -> Result<(), Failure> {
    if let Ok(Some(record)) = ShimRecord::read(&folder.shim_record()) {
        control_groups::remove(&record.control_groups);
    }
    match fs::remove_dir_all(folder.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failures::io("remove", folder.path(), &error))
        }
        _ => Ok(()),
    }
}

/// Does what may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(failures::interrupted(&error)))
}
