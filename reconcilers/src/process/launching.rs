//! Making a shim, or a probe, of what is declared.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    process::Stdio,
};

use agent_model::{Failure, Principal, ProcessSpec, StopSignal};
use nix::unistd::{Gid, Group, Uid, User};
use process_shim::{Credentials, MARKER, ProcessFolder, Program};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, Command},
};

use super::failures;

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
    let account = Account::of(spec)?;
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

/// Whose rights a process has.
struct Account {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// Where this device knows one.
    user: Option<User>,
}

impl Account {
    fn of(spec: &ProcessSpec) -> Result<Self, Failure> {
        let own = Uid::effective();
        let (uid, user) = match &spec.user {
            None => (own, known(own)),
            Some(Principal::Id(id)) => (Uid::from_raw(*id), known(Uid::from_raw(*id))),
            Some(Principal::Name(name)) => match User::from_name(name) {
                Ok(Some(user)) => (user.uid, Some(user)),
                Ok(None) => return Err(failures::unknown("user", name)),
                Err(error) => return Err(failures::lookup("user", name, &error)),
            },
        };
        let gid = match &spec.group {
            Some(Principal::Id(id)) => Gid::from_raw(*id),
            Some(Principal::Name(name)) => match Group::from_name(name) {
                Ok(Some(group)) => group.gid,
                Ok(None) => return Err(failures::unknown("group", name)),
                Err(error) => return Err(failures::lookup("group", name, &error)),
            },
            None if spec.user.is_none() => Gid::effective(),
            // Without an entry nobody can say what its group is: that of its own number, as elsewhere.
            None => user.as_ref().map_or_else(|| Gid::from_raw(uid.as_raw()), |user| user.gid),
        };
        let groups = match user.as_ref().map(|user| std::ffi::CString::new(user.name.as_str())) {
            Some(Ok(name)) => nix::unistd::getgrouplist(&name, gid)
                .map_err(|error| failures::lookup("groups of the user", &uid.to_string(), &error))?,
            _ => vec![gid],
        };
        Ok(Self { uid, gid, groups, user })
    }

    /// `None` where nothing has to change: an agent that is not root may not even ask.
    fn credentials(&self) -> Option<Credentials> {
        let own = self.uid == Uid::effective() && self.gid == Gid::effective() && !Uid::effective().is_root();
        (!own).then(|| Credentials {
            uid: self.uid.as_raw(),
            gid: self.gid.as_raw(),
            groups: self.groups.iter().map(|group| group.as_raw()).collect(),
        })
    }

    fn variables(&self) -> Vec<(String, String)> {
        let Some(user) = &self.user else { return Vec::new() };
        [
            ("HOME", user.dir.display().to_string()),
            ("LOGNAME", user.name.clone()),
            ("USER", user.name.clone()),
            ("SHELL", user.shell.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

fn known(uid: Uid) -> Option<User> {
    User::from_uid(uid).ok().flatten()
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
