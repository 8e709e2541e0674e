//! Reading the ledger at the start, also a damaged one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use agent_model::AgentId;

use super::{Ledger, LedgerBody, document};
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
    Damage(String),
}

pub(super) fn load(layout: &StateLayout, agent: &AgentId) -> Result<Loaded, LedgerError> {
    sweep_temporaries(layout);
    let mut mishaps = Vec::new();
    let body = match find(&layout.ledger())? {
        Found::Ledger(body) => Some(*body),
        Found::Nothing => previous(layout, "ledger.json was missing".to_owned(), &mut mishaps)?,
        Found::Damage(why) => {
            let aside = kept(&layout.ledger());
            let mishap = format!("ledger.json was unusable: {why}{aside}");
            let body = previous(layout, mishap.clone(), &mut mishaps)?;
            if body.is_none() {
                mishaps.insert(0, format!("{mishap}; began anew"));
            }
            body
        }
    };
    if let Some(owner) = body.as_ref().map(|body| &body.agent).filter(|owner| *owner != agent) {
        return Err(LedgerError::OtherAgent {
            path: layout.path().to_owned(),
            owner: owner.clone(),
            agent: agent.clone(),
        });
    }
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
        Found::Nothing | Found::Damage(_) => None,
    })
}

/// The copy from one write before, in place of a current one that `mishap` befell.
fn previous(
    layout: &StateLayout,
    mishap: String,
    mishaps: &mut Vec<String>,
) -> Result<Option<LedgerBody>, LedgerError> {
    match find(&layout.previous_ledger())? {
        Found::Nothing => Ok(None),
        Found::Ledger(body) => {
            mishaps.push(format!("{mishap}; went on with its previous copy"));
            Ok(Some(*body))
        }
        Found::Damage(why) => {
            let aside = kept(&layout.previous_ledger());
            mishaps.push(format!("the previous copy was unusable too: {why}{aside}"));
            Ok(None)
        }
    }
}

fn find(path: &Path) -> Result<Found, LedgerError> {
    match fs::read(path) {
        Ok(bytes) => Ok(match document::decode(&bytes) {
            Ok(body) => Found::Ledger(Box::new(body)),
            Err(why) => Found::Damage(why.to_string()),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(source) => Err(LedgerError::Inaccessible { path: path.to_owned(), source }),
    }
}

/// Where it is kept, in words that follow others. Where it cannot be given another name (a read-only disk), it stays,
/// and the first successful write will replace it.
fn kept(path: &Path) -> String {
    set_aside(path).map(|aside| format!("; it is kept as {}", aside.display())).unwrap_or_default()
}
