//! What the agent asks a shim to start, and what the shim answers.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::VERSION;

/// What a shim is to start and how it is to hold it: one JSON document on its standard input, a
/// socket, on which the [`Answer`] comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Launch {
    /// [`VERSION`].
    pub version: u32,
    /// Names this run among all of the process.
    pub run: String,
    /// The effective digest of what is declared.
    pub digest: String,
    /// What is to run.
    pub program: Program,
    /// How it is stopped.
    pub stop: StopSettings,
    /// How much of what it prints is kept.
    pub log: LogSettings,
    /// After so many milliseconds all of it is killed; `None` where it may run as long as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// Why a message is no [`Launch`].
#[derive(Debug, thiserror::Error)]
pub enum InvalidLaunch {
    /// It is of a version that this program does not know.
    #[error(
        "it is asked in version {0} and knows version {VERSION}: agent and process-shim do not belong together"
    )]
    OtherVersion(u32),
    /// It is nothing that this program understands.
    #[error("what it is asked for cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

impl Launch {
    /// Reads a message.
    ///
    /// # Errors
    /// See [`InvalidLaunch`].
    pub fn from_json(message: &[u8]) -> Result<Self, InvalidLaunch> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // The version first: a later one may be shaped otherwise.
        let Versioned { version } = serde_json::from_slice(message)?;
        if version != VERSION {
            return Err(InvalidLaunch::OtherVersion(version));
        }
        Ok(serde_json::from_slice(message)?)
    }
}

/// A program and all that it starts with. `Debug` leaves out the environment: it may be secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// Its working folder.
    pub workdir: PathBuf,
    /// Whose rights it has; those of the shim when `None`.
    pub credentials: Option<Credentials>,
    /// Limit on the files that each process opens (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Folders of the control groups that it enters.
    pub control_groups: Vec<PathBuf>,
    /// What is read from its standard input, which is empty otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Box<Inside>>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, environment: _, workdir, credentials, open_files, control_groups, inside } = self;
        f.debug_struct("Program")
            .field("command", command)
            .field("workdir", workdir)
            .field("credentials", credentials)
            .field("open_files", open_files)
            .field("control_groups", control_groups)
            .field("inside", inside)
            .finish_non_exhaustive()
    }
}

/// What is started from within what was built around it, such as other namespaces. It is read from the standard input, so
/// that neither arguments nor environment are seen by others, or are ever on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inside {
    /// What is to run. Its control groups and its limit on open files are those of what is around it.
    pub program: Program,
    /// What is run before, with the same rights and environment: where it ends with 0, the program is not.
    pub unless: Option<Vec<String>>,
    /// The file in which it is noted that the program was not needed.
    pub skipped: Option<PathBuf>,
}

/// A user, a group and the groups besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

/// How a process is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopSettings {
    /// Number of the signal that asks it to.
    pub signal: i32,
    /// After so many milliseconds all that is left is killed.
    pub timeout_ms: u64,
    /// Whether the signal is for what the process has started, and not for itself: one that stands around another
    /// and would end it without asking.
    #[serde(default)]
    pub descendants: bool,
}

/// How much of what a process prints is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogSettings {
    /// Size of one file, in bytes.
    pub max_size: u64,
    /// How many rotated files are kept beside the current one.
    pub keep: u32,
    /// So many bytes of what is printed first are kept beside these, whatever is rotated out.
    #[serde(default)]
    pub head: u64,
}

/// What a shim answers: the last thing that it says to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The program runs and the record of it is written.
    Started,
    /// Nothing runs.
    Failed(StartFailure),
}

/// Why a program was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartFailure {
    /// What could not be done.
    pub stage: StartStage,
    /// What the system said, for people.
    pub message: String,
}

/// The steps by which a program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartStage {
    /// Understanding what is asked, making pipes and processes, writing records.
    Shim,
    /// Entering a control group.
    ControlGroup,
    /// Setting a limit.
    Limit,
    /// Taking the user's rights.
    User,
    /// Entering the working folder.
    Workdir,
    /// Becoming the program, and there is none of that name.
    NoCommand,
    /// Becoming the program.
    Command,
}

impl StartFailure {
    /// A failure at that stage.
    pub fn new(stage: StartStage, message: impl fmt::Display) -> Self {
        Self { stage, message: message.to_string() }
    }
}
