//! Starting shims, and what else `process-shim` does.

use std::{
    ffi::OsStr,
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt, OpenOptionsExt},
            net::UnixStream as StdUnixStream,
        },
    },
    path::Path,
    process::Stdio,
    time::Duration,
};

use agent_model::Failure;
use crash_point::crash_point;
use process_shim::{Answer, Launch, ProcessFolder};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, Command},
    time::timeout,
};
use zeroize::Zeroizing;

use super::failures;

/// Where programs are looked for unless the environment says otherwise, as systemd does.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a shim may take to start its process: nothing in that should wait for anything.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// A name for a run that no other has.
pub(crate) fn new_run() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Starts `process-shim` and tells it what to do. It answers on the socket, and has nothing of the
/// agent's but `stdout`.
pub(crate) async fn spawn(
    shim: &Path,
    arguments: &[&OsStr],
    stdout: Stdio,
    message: &impl Serialize,
) -> io::Result<(Child, UnixStream)> {
    let message = Zeroizing::new(serde_json::to_vec(message)?);
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let child = Command::new(shim)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()?;
    let mut socket = UnixStream::from_std(ours)?;
    socket.write_all(&message).await?;
    socket.shutdown().await?;
    Ok((child, socket))
}

/// What comes on the socket until its other end is closed.
pub(crate) async fn read_to_end(socket: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    socket.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Makes the folder and takes its lock, which the shim inherits: there is no moment in which it lives
/// and nobody can tell.
pub(crate) fn locked(parent: &Path, folder: &ProcessFolder) -> Result<File, Failure> {
    for path in [parent, folder.path()] {
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
        Err(error) => Err(failures::io("lock", &path, &error.into())),
    }
}

/// Starts the shim and waits for its answer.
pub(crate) async fn launched(
    shim: &Path,
    folder: &ProcessFolder,
    launch: Launch,
    lock: File,
) -> Result<(), Failure> {
    crash_point();
    let arguments = ["hold".as_ref(), folder.path().as_os_str()];
    let spawned = spawn(shim, &arguments, Stdio::from(lock), &launch).await;
    let (mut child, mut socket) = spawned.map_err(|error| failures::not_spawned(shim, &error))?;
    crash_point();
    let answer = match timeout(ANSWERED_WITHIN, read_to_end(&mut socket)).await {
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
