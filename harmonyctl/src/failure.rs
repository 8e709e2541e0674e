//! What ends a command at once.

use std::{error::Error, io, path::PathBuf};

use agent_core::signing::InvalidKey;
use fleet::{
    ConnectError, StoreError,
    enrollment::AnswerError,
    generation::Exhausted,
    operator::OperatorError,
    provisioning::ProvisioningError,
    registry::{NotApproved, RegistryError},
};
use nats_operator::FolderError;

use crate::{nats_context::ContextError, outcome::Outcome, reading::name_of};

/// Why a command could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Provisioning(#[from] ProvisioningError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    NotApproved(#[from] NotApproved),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("no generation is left for agent/{agent}")]
    Exhausted { agent: agent_model::AgentId, source: Exhausted },
    /// It cannot be done as things are; the message says what can.
    #[error("{0}")]
    Refused(String),
    /// What was asked for makes no sense; the message says what would.
    #[error("{0}")]
    Usage(String),
    /// Whoever wanted a key ended has to know that it is good.
    #[error("nothing was ended")]
    NothingEnded(#[source] Box<Failure>),
    /// The documents are wrong; everything about that was said already.
    #[error("nothing was done: {0}")]
    InvalidDocuments(String),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error("cannot read {}", name_of(path))]
    File { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{}", path.display())]
    Key { path: PathBuf, source: InvalidKey },
    #[error("cannot write the output")]
    Output { source: io::Error },
    #[error("cannot write {what} as text")]
    Format { what: &'static str, source: Box<dyn Error + Send + Sync> },
    #[error("cannot start the async runtime")]
    Runtime { source: io::Error },
    /// Nobody reads stdout any more: ends the command quietly.
    #[error("nobody reads the output any more")]
    ReaderGone,
}

impl Failure {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Usage(_)
            | Self::InvalidDocuments(_)
            | Self::File { .. }
            | Self::Key { .. }
            | Self::Context(_)
            | Self::Folder(FolderError::NotAFolder(_) | FolderError::NotEmpty(_))
            | Self::Connect(ConnectError::Access(_)) => Outcome::Usage,
            Self::Store(StoreError::Conflict { .. })
            | Self::Registry(RegistryError::Store(StoreError::Conflict { .. })) => Outcome::Conflict,
            Self::ReaderGone => Outcome::Done,
            Self::NothingEnded(why) => why.outcome(),
            Self::Connect(_)
            | Self::Store(_)
            | Self::Provisioning(_)
            | Self::Registry(_)
            | Self::NotApproved(_)
            | Self::Answer(_)
            | Self::Operator(_)
            | Self::Folder(_)
            | Self::Refused(_)
            | Self::Exhausted { .. }
            | Self::Output { .. }
            | Self::Unwritable { .. }
            | Self::Format { .. }
            | Self::Runtime { .. } => Outcome::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_has_its_own_exit_code() {
        let conflict = StoreError::Conflict { bucket: "desired-state", agent: "a".parse().unwrap() };
        assert_eq!(Failure::from(conflict).outcome(), Outcome::Conflict);
    }
}
