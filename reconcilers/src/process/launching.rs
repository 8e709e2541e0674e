//! Making a shim, or a probe, of what is declared.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    process::Stdio,
};

use agent_model::{Failure, ProcessSpec, StopSignal};
use process_shim::{MARKER, ProcessFolder, Program};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, Command},
};

use super::account::Account;

/// Where programs are looked for unless the environment says otherwise, as systemd does.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// A name for a run that no other has.
pub(super) fn new_run() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The number of a signal on this device.
pub(super) fn number(signal: StopSignal) -> i32 {
    use rustix::process::Signal;

    let signal = match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Hup => Signal::HUP,
        StopSignal::Kill => Signal::KILL,
        StopSignal::Usr1 => Signal::USR1,
        StopSignal::Usr2 => Signal::USR2,
        StopSignal::Winch => Signal::WINCH,
    };
    signal.as_raw()
}

/// The program of a declaration with all that it starts with. Looks up users, and so may block.
pub(super) fn program(
    spec: &ProcessSpec,
    folder: &ProcessFolder,
    control_groups: Vec<PathBuf>,
) -> Result<Program, Failure> {
    let account = Account::of(spec.user.as_ref(), spec.group.as_ref())?;
    let mut environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    environment.extend(account.variables());
    environment.extend(spec.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment.insert(MARKER.to_owned(), folder.path().display().to_string());
    Ok(Program {
        command: spec.command.clone(),
        environment,
        workdir: spec.workdir.as_ref().map_or_else(|| "/".into(), |path| path.as_str().into()),
        credentials: account.credentials(),
        open_files: spec.limits.open_files,
        control_groups,
    })
}

/// Starts `process-shim` and tells it what to do. It answers on the socket, and has nothing of the
/// agent's but `stdout`.
pub(super) async fn spawn(
    shim: &Path,
    arguments: &[&OsStr],
    stdout: Stdio,
    message: &impl Serialize,
) -> io::Result<(Child, UnixStream)> {
    let message = serde_json::to_vec(message)?;
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
pub(super) async fn read_to_end(socket: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    socket.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}
