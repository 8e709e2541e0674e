//! What is found of a unit.

use std::{collections::BTreeMap, time::Duration};

use agent_model::Digest;

use super::record::OriginalFile;

/// A unit as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemdUnitObservation {
    /// Whether it is the agent's own, or one that the agent cannot do without.
    pub(super) agents_own: bool,
    /// The files that are declared, with what each should hold.
    pub(super) wanted: BTreeMap<String, Digest>,
    /// What lies at each path that is declared or was written, where anything does.
    pub(super) files: BTreeMap<String, FoundFile>,
    /// Whether there is a folder for its drop-ins.
    pub(super) has_folder: bool,
    /// Contents that are kept for when they come back.
    pub(super) kept: Vec<Digest>,
    /// What systemd says.
    pub(super) unit: FoundUnit,
    /// The present boot.
    pub(super) boot: String,
    /// Since boot, as systemd counts.
    pub(super) now: Duration,
}

/// What lies at the path of a unit's file or drop-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FoundFile {
    /// A regular file, with what is in it, and how many bytes that are.
    Regular {
        /// What it holds and how.
        file: OriginalFile,
        /// How many bytes.
        size: u64,
        /// What is in it apart from a mark of ours.
        body: Digest,
    },
    /// Something else, in words.
    Other(&'static str),
}

/// What systemd says of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct FoundUnit {
    /// `loaded`, `not-found`, `masked`, `bad-setting`, `error` …
    pub(super) load: String,
    /// What is wrong with its file.
    pub(super) load_error: Option<String>,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub(super) active: String,
    /// What its type says besides: `running`, `exited`, `auto-restart` …
    pub(super) sub: String,
    /// How it ended last: `success`, `exit-code` …
    pub(super) result: String,
    /// The exit code, or the signal, of its main process.
    pub(super) status: u64,
    /// How often systemd started it again by itself.
    pub(super) restarts: u64,
    /// How its file is found, `enabled` …; `None` where there is none.
    pub(super) file_state: Option<String>,
    /// Whether systemd is at it.
    pub(super) has_job: bool,
    /// How our last request came out, where it did not come out well.
    pub(super) job_result: Option<String>,
    /// What tells this start from others.
    pub(super) invocation: Option<String>,
    /// Whether it does its work once and is then over.
    pub(super) runs_once: bool,
    /// How long it must have run before it counts.
    pub(super) proves_itself: bool,
    /// Since when it runs, or ran last; zero where it never did.
    pub(super) active_since: Duration,
    /// Since when it does not run; zero where it never ended.
    pub(super) inactive_since: Duration,
}

impl FoundUnit {
    /// Whether there is one to be managed.
    pub(super) fn exists(&self) -> bool {
        self.file_state.is_some() || !matches!(self.load.as_str(), "" | "not-found")
    }

    /// Whether anything of it runs.
    pub(super) fn runs(&self) -> bool {
        matches!(self.active.as_str(), "active" | "activating" | "reloading" | "refreshing")
    }

    /// Whether it is started at boot; `None` for one that cannot be.
    pub(super) fn enabled(&self) -> Option<bool> {
        match self.file_state.as_deref() {
            Some("enabled") => Some(true),
            Some("disabled" | "enabled-runtime") => Some(false),
            _ => None,
        }
    }
}
