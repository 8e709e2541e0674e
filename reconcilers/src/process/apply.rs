//! Does what was decided about a process.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use agent_model::{Failure, Goal, ProcessSpec, ResourceName, Target};
use crash_point::crash_point;
use process_shim::{
    Answer, End, ExitRecord, Launch, LogSettings, ProcessFolder, ShimRecord, StopSettings, VERSION, boot_id,
    boot_time, left_behind,
};
use rustix::{
    fs::{FlockOperation, flock},
    process::Signal,
};
use tokio::time::{sleep, timeout};

use super::{
    Device, control_groups, failures, launching, observation::Found, observe, record::ProcessRecord,
    step::ProcessStep,
};
use crate::workload::probing::Known;

/// How long a shim may take to start its process: nothing in that should wait for anything.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// How often what was killed is looked for again, and how long between the looks.
const SWEEPS: u32 = 40;
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn apply(
    device: &Arc<Device>,
    name: &ResourceName,
    target: &Target<ProcessSpec, ProcessRecord>,
    step: &ProcessStep,
) -> Result<(), Failure> {
    let folder = device.folder(name);
    match (step, &target.goal) {
        (ProcessStep::Start { run, .. }, Goal::Present { spec, digest }) => {
            start(device, name, &folder, spec, run, &digest.to_string()).await?;
            attend(device, name, &folder, spec).await;
            Ok(())
        }
        (ProcessStep::Start { .. }, Goal::Absent) => Err(failures::wrong_claim()),
        (ProcessStep::Stop { shim, .. }, _) => {
            shim.signal(Signal::TERM)
                .map_err(|error| failures::io("stop the shim of", folder.path(), &error))?;
            crash_point();
            Ok(())
        }
        (ProcessStep::Kill { shim }, _) => {
            shim.signal(Signal::KILL)
                .map_err(|error| failures::io("kill the shim of", folder.path(), &error))?;
            device.wakes.wake(name);
            Ok(())
        }
        (ProcessStep::Sweep { run }, _) => {
            let swept = sweep(&folder, run).await;
            device.wakes.wake(name);
            swept
        }
        (ProcessStep::Clear, _) => {
            // Its shim has ended all that descends from the process; what its probes have started does not.
            end_left_behind(&folder).await?;
            blocking(move || clear(&folder)).await
        }
    }
}

async fn start(
    device: &Arc<Device>,
    name: &ResourceName,
    folder: &ProcessFolder,
    spec: &Arc<ProcessSpec>,
    run: &str,
    digest: &str,
) -> Result<(), Failure> {
    // Of a run before whose folder somebody has removed, or of its probes.
    end_left_behind(folder).await?;
    let (launch, lock) = {
        let (device, name, folder, spec) =
            (Arc::clone(device), name.clone(), folder.clone(), Arc::clone(spec));
        let (run, digest) = (run.to_owned(), digest.to_owned());
        blocking(move || {
            let lock = locked(&device.processes, &folder)?;
            crash_point();
            let control_groups = device.control_groups.prepare(&name, &spec.limits)?;
            let launch = launch(&spec, &folder, control_groups.clone(), run, digest);
            Ok((launch.inspect_err(|_| control_groups::remove(&control_groups))?, lock))
        })
        .await?
    };
    let groups = launch.program.control_groups.clone();
    let started = launched(device, folder, launch, lock).await;
    if started.is_err() {
        blocking(move || {
            control_groups::remove(&groups);
            Ok(())
        })
        .await?;
    }
    started
}

/// Starts the shim and waits for its answer.
async fn launched(
    device: &Device,
    folder: &ProcessFolder,
    launch: Launch,
    lock: File,
) -> Result<(), Failure> {
    crash_point();
    let arguments = ["hold".as_ref(), folder.path().as_os_str()];
    let spawned = launching::spawn(&device.shim, &arguments, Stdio::from(lock), &launch).await;
    let (mut child, mut socket) = spawned.map_err(|error| failures::not_spawned(&device.shim, &error))?;
    crash_point();
    let answer = match timeout(ANSWERED_WITHIN, launching::read_to_end(&mut socket)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(failures::shim_silent(&error)),
        Err(elapsed) => return Err(failures::shim_silent(&elapsed)),
    };
    crash_point();
    match serde_json::from_slice(&answer) {
        // The shim stays, and is not ours to wait for: the runtime reaps it when it ends.
        Ok(Answer::Started) => Ok(()),
        Ok(Answer::Failed(failure)) => {
            // It holds its folder until it has ended, and whoever looks too early takes it for one that is
            // about to start the process.
            let _ = timeout(ANSWERED_WITHIN, child.wait()).await;
            Err(failures::not_started(failure))
        }
        Err(error) => Err(failures::shim_silent(&error)),
    }
}

/// Begins to wait for what happens to what was just started: no later pass has to come for that.
async fn attend(device: &Device, name: &ResourceName, folder: &ProcessFolder, spec: &Arc<ProcessSpec>) {
    let looked_at = folder.clone();
    match blocking(move || observe::look(&looked_at)).await {
        Ok(Found::Running(running)) => {
            drop(observe::attend(device, name, &running, Some(spec), Known::default()))
        }
        // Over already, or not to be seen: a pass will tell.
        Ok(_) | Err(_) => device.wakes.wake(name),
    }
}

fn launch(
    spec: &ProcessSpec,
    folder: &ProcessFolder,
    control_groups: Vec<PathBuf>,
    run: String,
    digest: String,
) -> Result<Launch, Failure> {
    Ok(Launch {
        version: VERSION,
        run,
        digest,
        program: launching::program(spec, folder, control_groups)?,
        stop: StopSettings {
            signal: launching::number(spec.stop_signal),
            timeout_ms: spec.stop_timeout.as_millis().try_into().unwrap_or(u64::MAX),
        },
        log: LogSettings { max_size: spec.log.max_size, keep: spec.log.keep },
    })
}

/// Makes the folder and takes its lock, which the shim inherits: there is no moment in which it lives
/// and nobody can tell.
fn locked(processes: &std::path::Path, folder: &ProcessFolder) -> Result<File, Failure> {
    for path in [processes, folder.path()] {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failures::io("make the folder", path, &error));
            }
            _ => {}
        }
    }
    let path = folder.lock();
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| failures::io("open", &path, &error))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(failures::held()),
        Err(error) => Err(failures::io("lock", &path, &error)),
    }
}

/// Kills what is left of a run, and notes in its shim's place that it is over.
async fn sweep(folder: &ProcessFolder, run: &str) -> Result<(), Failure> {
    end_left_behind(folder).await?;
    crash_point();
    let (folder, run) = (folder.clone(), run.to_owned());
    blocking(move || note_end(&folder, run)).await
}

/// Kills what no shim holds, until nothing is left.
async fn end_left_behind(folder: &ProcessFolder) -> Result<(), Failure> {
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
        stopped: record.stopping,
        out_of_memory: false,
        ended_at: humantime::format_rfc3339_millis(now).to_string(),
        ended_ms: boot_time().as_millis().try_into().unwrap_or(u64::MAX),
    };
    end.write(&folder.exit_record()).map_err(|error| failed(&error))
}

fn clear(folder: &ProcessFolder) -> Result<(), Failure> {
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(failures::interrupted(&error)))
}
