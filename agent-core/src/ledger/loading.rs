//! Reading the ledger at the start, also a damaged one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use agent_model::AgentId;
use serde_json::Value;

use super::{
    Ledger, LedgerBody,
    document::{self, Unreadable},
};
use crate::{
    damaged_file::set_aside,
    state_dir::{StateLayout, sweep_temporaries},
};

/// A ledger, and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// Ready for use.
    pub ledger: Ledger,
    /// Where it came from.
    pub provenance: Provenance,
}

/// Where a ledger came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// Read as it was written.
    Intact,
    /// There was none.
    New,
    /// It was damaged or lost, and was replaced by its previous copy or an empty one.
    Recovered {
        /// What had happened and what was done, for a person.
        message: String,
    },
}

/// Why there is no ledger to work with.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The folder is another agent's.
    #[error(
        "the state folder {path} belongs to the agent {owner}, and this is {agent}; give this one another --state-dir, or remove the folder if {owner} is no more"
    )]
    OtherAgent {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: AgentId,
        /// Who asked.
        agent: AgentId,
    },
    /// A newer agent wrote it, in a form that this one does not know.
    #[error(
        "{path} is of version {version}, and a newer agent wrote it: use the harmony-agent that did; an older one that is started begins anew"
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// The file is there but the system does not hand it out.
    #[error("cannot read {path}; mend its permissions or the disk")]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

enum Found {
    Nothing,
    Ledger(Box<LedgerBody>),
    Damage {
        why: Unreadable,
        /// Whose it says that it is.
        owner: Option<AgentId>,
    },
}

impl Found {
    fn owner(&self) -> Option<&AgentId> {
        match self {
            Self::Nothing => None,
            Self::Ledger(body) => Some(&body.agent),
            Self::Damage { why: _, owner } => owner.as_ref(),
        }
    }
}

pub(super) fn load(layout: &StateLayout, agent: &AgentId) -> Result<Loaded, LedgerError> {
    sweep_temporaries(layout);
    let mut mishaps = Vec::new();
    let body = match find_own(layout, &layout.ledger(), agent)? {
        Found::Ledger(body) => Some(*body),
        unusable => {
            let previous = find_own(layout, &layout.previous_ledger(), agent)?;
            in_place_of(&unusable, previous, layout, &mut mishaps)
        }
    };
    let provenance = match (&body, mishaps.is_empty()) {
        (Some(_), true) => Provenance::Intact,
        (None, true) => Provenance::New,
        (_, false) => Provenance::Recovered { message: mishaps.join("; ") },
    };
    let body = match body {
        Some(body) if provenance == Provenance::Intact => body,
        Some(body) => LedgerBody { needs_floor: true, ..body },
        None => LedgerBody::empty(agent.clone()),
    };
    Ok(Loaded { ledger: Ledger::new(layout.clone(), body), provenance })
}

pub(super) fn peek(layout: &StateLayout) -> Result<Option<LedgerBody>, LedgerError> {
    Ok(match find(&layout.ledger())? {
        Found::Ledger(body) => Some(*body),
        Found::Nothing | Found::Damage { .. } => None,
    })
}

pub(super) fn owner(layout: &StateLayout) -> Result<Option<AgentId>, LedgerError> {
    let path = layout.ledger();
    match find(&path)? {
        Found::Ledger(body) => Ok(Some(body.agent)),
        Found::Damage { why: Unreadable::OtherVersion(version), .. } => {
            Err(LedgerError::OtherVersion { path, version })
        }
        Found::Nothing | Found::Damage { .. } => Ok(None),
    }
}

/// What is to be gone on with in place of a current ledger that is missing or unusable: the copy from one write before,
/// if anything. Not where a newer agent wrote the current one: what it put in force since is not in an older copy, and
/// would be stopped for it.
fn in_place_of(
    unusable: &Found,
    previous: Found,
    layout: &StateLayout,
    mishaps: &mut Vec<String>,
) -> Option<LedgerBody> {
    let is_newer = matches!(unusable, Found::Damage { why: Unreadable::OtherVersion(_), .. });
    let (previous, beside) = match previous {
        Found::Ledger(body) if !is_newer => (Some(*body), None),
        // First, so that no start finds it alone.
        Found::Ledger(_) => {
            (None, Some(format!("the previous copy is older than that{}", kept(&layout.previous_ledger()))))
        }
        Found::Damage { why, .. } => {
            let aside = kept(&layout.previous_ledger());
            (None, Some(format!("the previous copy was unusable too: {why}{aside}")))
        }
        Found::Nothing => (None, None),
    };
    let mishap = match unusable {
        Found::Damage { why, .. } => format!("ledger.json was unusable: {why}{}", kept(&layout.ledger())),
        // A device that has neither is a new one.
        Found::Nothing | Found::Ledger(_) if previous.is_none() && beside.is_none() => return None,
        Found::Nothing | Found::Ledger(_) => "ledger.json was missing".to_owned(),
    };
    let end = if previous.is_some() { "went on with its previous copy" } else { "began anew" };
    mishaps.push(format!("{mishap}; {end}"));
    mishaps.extend(beside);
    previous
}

/// The same, unless it is another agent's. Asked before anything of it is touched.
fn find_own(layout: &StateLayout, path: &Path, agent: &AgentId) -> Result<Found, LedgerError> {
    let found = find(path)?;
    match found.owner().filter(|owner| *owner != agent) {
        None => Ok(found),
        Some(owner) => Err(LedgerError::OtherAgent {
            path: layout.path().to_owned(),
            owner: owner.clone(),
            agent: agent.clone(),
        }),
    }
}

fn find(path: &Path) -> Result<Found, LedgerError> {
    match fs::read(path) {
        Ok(bytes) => Ok(match document::decode(&bytes) {
            Ok(body) => Found::Ledger(Box::new(body)),
            Err(why) => Found::Damage { why, owner: stated_owner(&bytes) },
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(source) => Err(LedgerError::Inaccessible { path: path.to_owned(), source }),
    }
}

/// Whose ledger it is, where that can be read of one that cannot.
fn stated_owner(bytes: &[u8]) -> Option<AgentId> {
    let file: Value = serde_json::from_slice(bytes).ok()?;
    file["body"]["agent"].as_str()?.parse().ok()
}

/// Where it is kept, in words that follow others. Where it cannot be given another name (a read-only disk), it stays,
/// and the first successful write will replace it.
fn kept(path: &Path) -> String {
    set_aside(path).map(|aside| format!("; it is kept as {}", aside.display())).unwrap_or_default()
}
