//! Sets everything up that a program starts with, and becomes it.
//!
//! A program of its own rather than code between fork and exec, so that nothing here has to be safe in
//! that narrow place.

use std::{
    fs, io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use nix::{
    sys::signal::SigSet,
    unistd::{Gid, Uid},
};
use process_shim::{Credentials, Program, StartFailure, StartStage};
use rustix::process::{Resource, Rlimit, Signal};

use crate::control_socket;

/// What a shell says of a command that it could not start.
const NOT_STARTED: u8 = 127;

/// Becomes the program that the standard input names. The socket closes when that has worked; otherwise
/// the [`StartFailure`] comes back.
pub(crate) fn exec() -> ExitCode {
    let shim = rustix::process::getppid();
    let Ok(mut socket) = control_socket::take_stdin() else { return ExitCode::from(NOT_STARTED) };
    let failure = match control_socket::receive::<Program>(&mut socket) {
        Ok(program) => match set_up(&program, shim) {
            Ok(()) => becoming_failed(&program.command, become_program(&program)),
            Err(failure) => failure,
        },
        Err(error) => StartFailure::new(StartStage::Shim, error),
    };
    let _ = control_socket::send(&mut socket, &failure);
    ExitCode::from(NOT_STARTED)
}

fn set_up(program: &Program, shim: Option<rustix::process::Pid>) -> Result<(), StartFailure> {
    let failed = |error: &dyn std::fmt::Display| StartFailure::new(StartStage::Shim, error);
    rustix::process::setsid().map_err(|error| failed(&error))?;
    // The shim holds back the signals that it waits for, and what it starts inherits that.
    SigSet::empty().thread_set_mask().map_err(|error| failed(&error))?;
    for group in &program.control_groups {
        fs::write(group.join("cgroup.procs"), "0").map_err(|error| {
            StartFailure::new(StartStage::ControlGroup, format!("{}: {error}", group.display()))
        })?;
    }
    // The agent may be spared when memory runs out; what it starts is not, unless somebody says so.
    let _ = fs::write("/proc/self/oom_score_adj", "0");
    if let Some(limit) = program.open_files {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        rustix::process::setrlimit(Resource::Nofile, limit)
            .map_err(|error| StartFailure::new(StartStage::Limit, format!("openFiles: {error}")))?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Some(credentials) = &program.credentials {
        take_rights(credentials).map_err(|error| StartFailure::new(StartStage::User, error))?;
    }
    std::env::set_current_dir(&program.workdir).map_err(|error| {
        StartFailure::new(StartStage::Workdir, format!("{}: {error}", program.workdir.display()))
    })?;
    // After the change of rights, which would undo it: a process whose shim is gone has nobody who
    // keeps its log or tells how it ended.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| failed(&error))?;
    if rustix::process::getppid() != shim {
        return Err(failed(&"what started it has ended meanwhile"));
    }
    Ok(())
}

fn take_rights(credentials: &Credentials) -> nix::Result<()> {
    let groups: Vec<Gid> = credentials.groups.iter().copied().map(Gid::from_raw).collect();
    nix::unistd::setgroups(&groups)?;
    nix::unistd::setgid(Gid::from_raw(credentials.gid))?;
    nix::unistd::setuid(Uid::from_raw(credentials.uid))
}

/// Returns only when it did not work.
fn become_program(program: &Program) -> io::Error {
    let Some((name, arguments)) = program.command.split_first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    Command::new(name).args(arguments).env_clear().envs(&program.environment).exec()
}

fn becoming_failed(command: &[String], error: io::Error) -> StartFailure {
    let name = command.first().map(String::as_str).unwrap_or_default();
    // A script whose interpreter is missing is not found either; the file itself is there.
    let stage = match error.kind() {
        io::ErrorKind::NotFound if !Path::new(name).exists() => StartStage::NoCommand,
        _ => StartStage::Command,
    };
    StartFailure::new(stage, format!("{name}: {error}"))
}
