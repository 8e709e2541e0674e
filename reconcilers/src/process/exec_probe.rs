//! A probe that runs a command as the process would run it.

use std::sync::Arc;

use agent_model::Failure;
use process_shim::{ProcessIdentity, Program, StartFailure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

use super::supervision::ProbedProcess;
use crate::{
    held::{
        ends::end_of,
        launching::{read_to_end, spawn},
    },
    process::launching,
};

/// Runs the command and is content when it ends with 0. Dropped before its end, it is killed.
pub(super) async fn ask(process: &ProbedProcess, command: &[String]) -> Result<(), String> {
    let (spec, folder, command) = (process.spec.clone(), process.folder.clone(), command.to_vec());
    let (control_groups, unsealer) = (process.control_groups.clone(), Arc::clone(&process.unsealer));
    let looked_up = tokio::task::spawn_blocking(move || {
        let program = launching::program(&spec, &folder, control_groups, &*unsealer)?;
        Ok::<_, Failure>(Program { command, ..program })
    });
    let program = looked_up.await.map_err(|error| error.to_string())?.map_err(|failure| failure.message)?;
    let (child, mut answer) = spawn(&process.shim, &["exec".as_ref()], std::process::Stdio::null(), &program)
        .await
        .map_err(|error| error.to_string())?;
    let mut group = Group(child);
    let failure = read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    if !failure.is_empty() {
        let failure: Result<StartFailure, _> = serde_json::from_slice(&failure);
        return Err(failure.map_or_else(|error| error.to_string(), |failure| failure.message));
    }
    // Before it is reaped, while the number of its group can be nobody else's.
    group.ended().await;
    group.kill();
    let status = group.0.wait().await.map_err(|error| error.to_string())?;
    let name = program.command.first().map(String::as_str).unwrap_or_default();
    if status.success() { Ok(()) } else { Err(format!("{name}: {status}")) }
}

/// A command with whatever it has started in its process group, none of which outlives it.
struct Group(Child);

impl Group {
    /// Ready once the command has ended.
    async fn ended(&self) {
        let identity = self.0.id().and_then(|pid| ProcessIdentity::of_child(pid).ok());
        if let Some(identity) = identity {
            end_of(&identity).await;
        }
    }

    /// Kills all of it, unless the command was reaped: then its number may be another's.
    fn kill(&mut self) {
        let pid = self.0.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.start_kill();
    }
}
