//! Sets everything up that a program starts with, and becomes it.
//!
//! A program of its own rather than code between fork and exec, so that nothing here has to be safe in
//! that narrow place.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use nix::{
    errno::Errno,
    unistd::{Gid, Uid},
};
use process_shim::{Credentials, Inside, Program, StartFailure, StartStage};
use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior, setrlimit,
};

use crate::control_socket;

/// What a shell says of a command that it could not start.
const NOT_STARTED: u8 = 127;
/// What this program ends with when what it was asked for cannot be set up.
const NOT_SET_UP: u8 = 125;
/// The soft limit on open files that programs are used to (`DefaultLimitNOFILE=` of systemd).
const CUSTOMARY_OPEN_FILES: u64 = 1024;
/// Where programs are looked for without a `PATH` (execvp(3)).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Becomes the program that the standard input names. The socket closes when that has worked; otherwise
/// the [`StartFailure`] comes back.
pub(crate) fn exec() -> ExitCode {
    let Ok(mut socket) = control_socket::take_stdin() else { return ExitCode::from(NOT_STARTED) };
    let asked = control_socket::maker(&socket).and_then(|parent| {
        let message = control_socket::receive(&mut socket)?;
        Ok((parent, serde_json::from_slice::<Program>(&message)?))
    });
    let failure = match asked {
        Ok((parent, program)) => match set_up(&program, parent) {
            Ok(()) => becoming_failed(&program, become_program(&program)),
            Err(failure) => failure,
        },
        Err(error) => StartFailure::new(StartStage::Shim, error),
    };
    let _ = control_socket::send(&mut socket, &failure);
    ExitCode::from(NOT_STARTED)
}

/// Becomes the program that the standard input names: the last thing that is done from within what was built around it.
/// What a script is to run before it is asked for here as well. Prints what keeps it from that.
pub(crate) fn inside(only_try: bool) -> ExitCode {
    write_no_core();
    let told = |message: String| {
        let _ = writeln!(io::stderr(), "{message}");
    };
    let read = control_socket::read_stdin().map_err(|error| error.to_string());
    let program = match read
        .and_then(|message| serde_json::from_slice::<Inside>(&message).map_err(|error| error.to_string()))
    {
        Ok(program) => program,
        Err(error) => {
            told(format!("cannot read what is to be started: {error}"));
            return ExitCode::from(NOT_SET_UP);
        }
    };
    let Inside { program, unless, skipped } = program;
    // Before its user's rights are taken: whoever has these cannot write there.
    let note = skipped.map(|path| fs::OpenOptions::new().write(true).open(path)).transpose();
    let rights = program.credentials.as_ref().map_or(Ok(()), take_rights);
    let set_up = note
        .and_then(|note| rights.map(|()| note).map_err(io::Error::from))
        .and_then(|note| std::env::set_current_dir(&program.workdir).map(|()| note));
    let note = match set_up {
        Ok(note) => note,
        Err(error) => {
            told(format!("its user's rights cannot be taken: {error}"));
            return ExitCode::from(NOT_SET_UP);
        }
    };
    if only_try {
        return ExitCode::SUCCESS;
    }
    if let (Some([name, arguments @ ..]), Some(mut note)) = (unless.as_deref(), note) {
        match Command::new(name).args(arguments).env_clear().envs(&program.environment).status() {
            Ok(status) if status.success() => {
                return match note.write_all(b"skipped") {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(_) => ExitCode::from(NOT_SET_UP),
                };
            }
            Ok(_) => {}
            Err(error) => {
                told(format!("{name}: {error}"));
                return ExitCode::from(NOT_STARTED);
            }
        }
    }
    told(becoming_failed(&program, become_program(&program)).to_string());
    ExitCode::from(NOT_STARTED)
}

/// What the environment of a program holds may be secret. The program itself is not affected.
fn write_no_core() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

fn set_up(program: &Program, parent: Pid) -> Result<(), StartFailure> {
    rustix::process::setsid().map_err(|error| StartFailure::new(StartStage::Shim, error))?;
    for group in &program.control_groups {
        fs::write(group.join("cgroup.procs"), "0").map_err(|error| {
            StartFailure::new(StartStage::ControlGroup, format!("{}: {error}", group.display()))
        })?;
    }
    // The agent may be spared when memory runs out; what it starts is not, unless somebody says so.
    let _ = fs::write("/proc/self/oom_score_adj", "0");
    // Only now: whoever is not root and writes no core cannot write there.
    write_no_core();
    limit_open_files(program.open_files).map_err(|error| {
        let limit = program.open_files.map(|limit| format!(" {limit}")).unwrap_or_default();
        StartFailure::new(StartStage::Limit, format!("openFiles{limit}: {}", io::Error::from(error)))
    })?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Some(credentials) = &program.credentials {
        take_rights(credentials).map_err(|error| {
            let Credentials { uid, gid, .. } = credentials;
            StartFailure::new(
                StartStage::User,
                format!("user {uid} with group {gid}: {}", io::Error::from(error)),
            )
        })?;
    }
    std::env::set_current_dir(&program.workdir).map_err(|error| {
        StartFailure::new(StartStage::Workdir, format!("{}: {error}", program.workdir.display()))
    })?;
    if let Some(inside) = &program.inside {
        control_socket::put_on_stdin(inside).map_err(|error| StartFailure::new(StartStage::Shim, error))?;
    }
    // After the change of rights, which would undo it: a process whose shim is gone has nobody who
    // keeps its log or tells how it ended.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| StartFailure::new(StartStage::Shim, error))?;
    if rustix::process::getppid() != Some(parent) {
        return Err(StartFailure::new(StartStage::Shim, "what started it has ended meanwhile"));
    }
    Ok(())
}

/// Without a limit of its own a program starts with the customary one, whatever the agent has for
/// itself: some programs cannot bear more until they ask for it.
fn limit_open_files(limit: Option<u64>) -> rustix::io::Result<()> {
    let bound = match limit {
        Some(limit) => Rlimit { current: Some(limit), maximum: Some(limit) },
        None => {
            let inherited = getrlimit(Resource::Nofile);
            let current = inherited.current.map_or(CUSTOMARY_OPEN_FILES, |now| now.min(CUSTOMARY_OPEN_FILES));
            Rlimit { current: Some(current), ..inherited }
        }
    };
    setrlimit(Resource::Nofile, bound)
}

fn take_rights(credentials: &Credentials) -> nix::Result<()> {
    let Credentials { uid, gid, groups } = credentials;
    let wanted: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    match nix::unistd::setgroups(&wanted) {
        // In a user namespace not even root may choose groups (user_namespaces(7)), and need not.
        Err(Errno::EPERM) if is_in(groups, *gid)? => {}
        set => set?,
    }
    nix::unistd::setgid(Gid::from_raw(*gid))?;
    nix::unistd::setuid(Uid::from_raw(*uid))
}

/// Whether this program is in exactly these groups, once its own is `gid`: that one counts in any case.
fn is_in(groups: &[u32], gid: u32) -> nix::Result<bool> {
    let with_own = |groups: &mut dyn Iterator<Item = u32>| groups.chain([gid]).collect::<BTreeSet<u32>>();
    let present = with_own(&mut nix::unistd::getgroups()?.into_iter().map(Gid::as_raw));
    Ok(present == with_own(&mut groups.iter().copied()))
}

/// Returns only when it did not work.
fn become_program(program: &Program) -> io::Error {
    let Some((name, arguments)) = program.command.split_first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    Command::new(name).args(arguments).env_clear().envs(&program.environment).exec()
}

fn becoming_failed(program: &Program, error: io::Error) -> StartFailure {
    let name = program.command.first().map(String::as_str).unwrap_or_default();
    match error.kind() {
        io::ErrorKind::NotFound if is_there(program, name) => {
            let message = "it is there, but what it needs to run, its interpreter or loader, is not";
            StartFailure::new(StartStage::Command, format!("{name}: {message}"))
        }
        io::ErrorKind::NotFound => StartFailure::new(StartStage::NoCommand, format!("{name}: {error}")),
        _ => StartFailure::new(StartStage::Command, format!("{name}: {error}")),
    }
}

/// Whether there is a file of that name where programs are looked for.
fn is_there(program: &Program, name: &str) -> bool {
    if name.contains('/') {
        return Path::new(name).exists();
    }
    let path = program.environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    path.split(':').any(|folder| Path::new(folder).join(name).exists())
}
