//! Does what was decided about a job.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agent_model::{Digest, Failure, Goal, Limits, ResourceName, ShellJobSpec, Target};
use crash_point::crash_point;
use process_shim::{
    Credentials, Inside, Launch, LogSettings, MARKER, ProcessFolder, Program, StopSettings, VERSION,
};
use rustix::process::Signal;

use super::{
    Device, failures, observe, output,
    record::ShellJobRecord,
    sandbox::{self, Access, Sandbox},
    skipped,
    step::ShellJobStep,
};
use crate::held::{
    Account, control_groups,
    ending::{blocking, clear, end_left_behind, sweep},
    launching::{PATH, launched, locked},
    look,
};

/// How long a job may take to end when it is stopped.
const STOPS_WITHIN: Duration = Duration::from_secs(10);
/// Most processes and threads of a job that declares no limit, where that can be enforced: more than a script needs, and
/// less than a device can bear.
const CUSTOMARY_PIDS: u64 = 1024;

pub(super) async fn apply(
    device: &Arc<Device>,
    name: &ResourceName,
    target: &Target<ShellJobSpec, ShellJobRecord>,
    step: &ShellJobStep,
) -> Result<(), Failure> {
    let folder = device.folder(name);
    match (step, &target.goal) {
        (ShellJobStep::Start { run, attempt, .. }, Goal::Present { spec, digest }) => {
            let job =
                Job { name: name.clone(), spec: Arc::clone(spec), key: *digest, run: run.clone(), folder };
            start(device, &job, *attempt).await
        }
        (ShellJobStep::Start { .. }, Goal::Absent) => Err(failures::wrong_claim()),
        (ShellJobStep::Stop { shim, .. }, _) => {
            shim.signal(Signal::TERM)
                .map_err(|error| failures::io("stop the shim of", folder.path(), &error.into()))?;
            crash_point();
            Ok(())
        }
        (ShellJobStep::Kill { shim }, _) => {
            shim.signal(Signal::KILL)
                .map_err(|error| failures::io("kill the shim of", folder.path(), &error.into()))?;
            device.wakes.wake(name);
            Ok(())
        }
        (ShellJobStep::Sweep { run }, _) => {
            let swept = sweep(&folder, run).await;
            device.wakes.wake(name);
            swept
        }
        (ShellJobStep::Conclude { key, run, outcome, .. }, _) => {
            let (device, key, run, outcome) = (Arc::clone(device), *key, run.clone(), outcome.clone());
            let name = name.clone();
            blocking(move || {
                device
                    .history
                    .end(key, &run, outcome)
                    .map_err(|error| failures::history_unwritable(&error))?;
                // There may be more to be done by now.
                device.wakes.wake(&name);
                Ok(())
            })
            .await?;
            crash_point();
            Ok(())
        }
        (ShellJobStep::Clear, _) => {
            end_left_behind(&folder).await?;
            let (device, name) = (Arc::clone(device), name.clone());
            blocking(move || {
                device.forget_output(&name);
                clear(&folder)
            })
            .await
        }
    }
}

/// One run of a job.
#[derive(Clone)]
struct Job {
    name: ResourceName,
    spec: Arc<ShellJobSpec>,
    key: Digest,
    run: String,
    folder: ProcessFolder,
}

/// Sets everything up, finds out whether the job can be isolated, notes that it runs, and only then runs it.
async fn start(device: &Arc<Device>, job: &Job, attempt: u64) -> Result<(), Failure> {
    // Of a run before whose folder somebody has removed.
    end_left_behind(&job.folder).await?;
    let ((sandbox, tried), lock) = {
        let (device, job) = (Arc::clone(device), job.clone());
        blocking(move || {
            let lock = locked(&device.jobs, &job.folder)?;
            crash_point();
            Ok((prepare(&device, &job)?, lock))
        })
        .await?
    };
    sandbox.try_out(&tried).await?;
    crash_point();
    let launch = {
        let (device, job, sandbox) = (Arc::clone(device), job.clone(), sandbox.clone());
        blocking(move || {
            let inside = Inside {
                program: Program { environment: environment(&device, &job.spec)?, ..tried.program },
                ..tried
            };
            let groups = device.control_groups.prepare(&job.name, &limits(&device, &job.spec))?;
            crash_point();
            let noted = device.history.start(
                job.key,
                &job.name,
                &job.spec.run_id,
                job.spec.script_digest(),
                &job.run,
                attempt,
            );
            noted.map_err(|error| {
                control_groups::remove(&groups);
                failures::history_unwritable(&error)
            })?;
            Ok(launch(&job, &sandbox, inside, groups))
        })
        .await?
    };
    let groups = launch.program.control_groups.clone();
    let started = launched(&device.shim, &job.folder, launch, lock).await;
    let (of_job, of_device) = (job.clone(), Arc::clone(device));
    match started {
        Ok(()) => {
            blocking(move || {
                match look(&of_job.folder) {
                    Ok(found) => of_device.waiting.attend(&of_job.name, &found),
                    Err(_) => of_device.wakes.wake(&of_job.name),
                }
                // Over already, perhaps: then a pass has to note that.
                of_device.wakes.wake(&of_job.name);
                Ok(())
            })
            .await
        }
        Err(failure) => {
            blocking(move || {
                control_groups::remove(&groups);
                // A shim that did not say so may have begun it, and then it counts.
                if failure.reason != failures::SHIM_SILENT {
                    let noted = of_device.history.not_started(of_job.key, &of_job.run);
                    noted.map_err(|error| failures::history_unwritable(&error))?;
                }
                Err(failure)
            })
            .await
        }
    }
}

/// Writes the files of the job, and finds where everything is that it may write in. What is to be started comes with
/// nothing in its environment yet: that is not needed to try it. Blocking.
fn prepare(device: &Device, job: &Job) -> Result<(Sandbox, Inside), Failure> {
    let Job { spec, folder, .. } = job;
    let bubblewrap = sandbox::find_bubblewrap().ok_or_else(failures::no_bubblewrap)?;
    let writable = observe::writable(device, spec)?;
    let account = Account::of(Some(spec.runs_as()), None)?;
    // Root within has none of root's capabilities, and nothing to change.
    let credentials = account.credentials().filter(|credentials| credentials.uid != 0);
    remove_output(folder)?;
    device.forget_output(&job.name);
    let mut files = vec![(write(folder, "script", spec.script.as_bytes(), 0o444)?, "script", Access::Read)];
    if let Some(unless) = &spec.unless {
        files.push((write(folder, "unless", unless.as_bytes(), 0o444)?, "unless", Access::Read));
        files.push((write(folder, "skipped", b"", 0o600)?, "skipped", Access::Write));
    }
    let changes_user = credentials.is_some();
    let inside = inside(spec, credentials);
    let sandbox = Sandbox {
        bubblewrap,
        shim: device.shim.clone(),
        files,
        hidden: device.own.clone(),
        writable,
        network: spec.network,
        changes_user,
    };
    Ok((sandbox, inside))
}

/// The variables that a job is started with. Blocking.
fn environment(device: &Device, spec: &ShellJobSpec) -> Result<BTreeMap<String, String>, Failure> {
    let account = Account::of(Some(spec.runs_as()), None)?;
    let mut environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    environment.extend(account.variables());
    environment.extend(spec.env.opened(&*device.unsealer)?);
    Ok(environment)
}

/// What is started within.
fn inside(spec: &ShellJobSpec, credentials: Option<Credentials>) -> Inside {
    let command = |name: &str| {
        let script = sandbox::within(name).display().to_string();
        spec.interpreter.iter().cloned().chain([script]).collect::<Vec<String>>()
    };
    Inside {
        unless: spec.unless.as_ref().map(|_| command("unless")),
        skipped: spec.unless.as_ref().map(|_| sandbox::within("skipped")),
        program: Program {
            command: command("script"),
            environment: BTreeMap::new(),
            workdir: "/".into(),
            credentials,
            open_files: None,
            control_groups: Vec::new(),
            inside: None,
        },
    }
}

/// What the shim is asked for. bubblewrap has nothing of the job's environment: as the agent's user it must not be
/// told what to load.
fn launch(job: &Job, sandbox: &Sandbox, inside: Inside, control_groups: Vec<PathBuf>) -> Launch {
    let millis = |duration: Duration| duration.as_millis().try_into().unwrap_or(u64::MAX);
    let marker = (MARKER.to_owned(), job.folder.path().display().to_string());
    Launch {
        version: VERSION,
        run: job.run.clone(),
        digest: job.key.to_string(),
        program: Program {
            command: sandbox.command().into_iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            environment: [("PATH".to_owned(), PATH.to_owned()), marker].into(),
            workdir: "/".into(),
            credentials: None,
            open_files: job.spec.limits.open_files,
            control_groups,
            inside: Some(Box::new(inside)),
        },
        // bubblewrap would end at the signal and take the script with it before that has seen it.
        stop: StopSettings {
            signal: Signal::TERM.as_raw(),
            timeout_ms: millis(STOPS_WITHIN),
            descendants: true,
        },
        log: LogSettings { max_size: output::KEPT, keep: 1, head: output::KEPT },
        deadline_ms: Some(millis(job.spec.timeout)),
    }
}

/// Those that are declared, and a customary one on processes where the device can enforce it.
fn limits(device: &Device, spec: &ShellJobSpec) -> Limits {
    let customary = Limits { pids: spec.limits.pids.or(Some(CUSTOMARY_PIDS)), ..spec.limits };
    if device.control_groups.unenforced(&customary).is_empty() { customary } else { spec.limits }
}

/// What an earlier run has printed and left is none of this one's.
fn remove_output(folder: &ProcessFolder) -> Result<(), Failure> {
    let files = [
        folder.shim_record(),
        folder.exit_record(),
        folder.head(),
        folder.log(0),
        folder.log(1),
        skipped(folder),
    ];
    // The record of the shim first: with it alone a run would count as lost.
    files.iter().try_for_each(|path| remove_if_there(path))
}

fn remove_if_there(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failures::io("remove", path, &error)),
        _ => Ok(()),
    }
}

/// A new file of that content and mode.
fn write(folder: &ProcessFolder, name: &str, content: &[u8], mode: u32) -> Result<PathBuf, Failure> {
    let path = folder.path().join(name);
    remove_if_there(&path)?;
    let written =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).and_then(|mut file| {
            // The process's mask may have taken some of it.
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            file.write_all(content)
        });
    written.map_err(|error| failures::io("write", &path, &error))?;
    Ok(path)
}
