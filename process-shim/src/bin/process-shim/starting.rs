//! Starting the program that a shim holds.

use std::{
    ffi::CStr,
    io::{self, PipeReader},
    os::{fd::AsRawFd, unix::net::UnixStream},
};

use nix::{
    spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn},
    sys::signal::SigSet,
};
use process_shim::{ProcessIdentity, Program, StartFailure, StartStage, log_line::Stream};

use crate::{control_socket, output::Output};

/// Starts the program by way of `exec`, and waits until it is the program. What was begun when this
/// fails is for the caller to end.
pub(crate) fn start_program(program: &Program) -> Result<(ProcessIdentity, [Output; 2]), StartFailure> {
    let failed = |error: io::Error| StartFailure::new(StartStage::Shim, error);
    let Spawned { pid, mut socket, stdout, stderr } = spawn_exec().map_err(failed)?;
    let answer = control_socket::send(&mut socket, program)
        .and_then(|()| control_socket::receive(&mut socket))
        .map_err(failed)?;
    if !answer.is_empty() {
        return Err(serde_json::from_slice(&answer).unwrap_or_else(|error| failed(error.into())));
    }
    let outputs = [
        Output::new(stdout, Stream::Stdout).map_err(failed)?,
        Output::new(stderr, Stream::Stderr).map_err(failed)?,
    ];
    Ok((ProcessIdentity::of_child(pid).map_err(failed)?, outputs))
}

/// This program, started once more.
struct Spawned {
    pid: u32,
    /// Its standard input.
    socket: UnixStream,
    stdout: PipeReader,
    stderr: PipeReader,
}

/// Starts `exec` with nothing of ours but the three descriptors: no environment, and no signal blocked,
/// as we do with ours, or ignored, as whoever started the agent may have done.
fn spawn_exec() -> io::Result<Spawned> {
    let (socket, its_stdin) = UnixStream::pair()?;
    let (stdout, its_stdout) = io::pipe()?;
    let (stderr, its_stderr) = io::pipe()?;
    let mut descriptors = PosixSpawnFileActions::init()?;
    for (ours, its) in [(its_stdin.as_raw_fd(), 0), (its_stdout.as_raw_fd(), 1), (its_stderr.as_raw_fd(), 2)]
    {
        descriptors.add_dup2(ours, its)?;
    }
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK)?;
    attributes.set_sigdefault(&SigSet::all())?;
    attributes.set_sigmask(&SigSet::empty())?;
    let environment: [&CStr; 0] = [];
    let arguments = [c"process-shim", c"exec"];
    // This very program, also when another one has taken its place on the disk.
    let pid = posix_spawn("/proc/self/exe", &descriptors, &attributes, &arguments, &environment)?;
    Ok(Spawned { pid: pid.as_raw().unsigned_abs(), socket, stdout, stderr })
}
