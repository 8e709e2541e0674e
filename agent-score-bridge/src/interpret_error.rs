//! Why a Score cannot be interpreted, and where in the document that is told.

use std::fmt;

use agent_model::{InvalidResourceName, Problem};
use semver::Version;

use crate::Capability;

/// Why a Score cannot be interpreted. Nothing has been done by then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpretError {
    /// The device lacks what the Score needs.
    #[error(
        "the Score {score} {version} needs the capability {capability}, which this device does not have; an agent with \
         the reconciler {} would provide it", capability.kind
    )]
    MissingCapability {
        /// Which Score, of those being interpreted the innermost.
        score: &'static str,
        /// Its version.
        version: Version,
        /// What is missing.
        capability: Capability,
    },
    /// Too many Scores within one another.
    #[error("{score} would be a Score within {limit} others; at most {limit} may lie within one another")]
    TooDeep {
        /// The Score that is one too many.
        score: &'static str,
        /// How many may lie within one another.
        limit: usize,
    },
    /// Too many child Scores.
    #[error("the document's Scores have more than {limit} children altogether")]
    TooManyChildren {
        /// How many there may be.
        limit: usize,
    },
    /// More dependencies than the device should have to look after.
    #[error("the document's Scores have more than {limit} dependencies on one another altogether")]
    TooManyReferences {
        /// How many there may be.
        limit: usize,
    },
    /// More work than a small device should do to find out what it should be.
    #[error("to interpret the document's Scores takes more than {limit} steps")]
    TooMuchWork {
        /// How many there may be.
        limit: u64,
    },
    /// More than a small device should hold in memory.
    #[error(
        "the contents, commands and variables that the document's Scores declare have more than {limit} bytes altogether"
    )]
    TooLarge {
        /// How many there may be.
        limit: u64,
    },
    /// What is declared for a child would have no usable name.
    #[error("what is declared for it has no usable name: {0}")]
    Unnameable(InvalidResourceName),
    /// The body makes no sense for this device. Pointers lead from the Score's body.
    #[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// Everything that is wrong; not empty.
        problems: Vec<Problem>,
    },
    /// A child cannot be interpreted, for something else than what its own body says.
    #[error("{error}")]
    OfChild {
        /// JSON pointer from the body of the Score that was asked first to what the child was made from.
        pointer: String,
        /// Why; itself of no child.
        error: Box<InterpretError>,
    },
}

impl InterpretError {
    /// A body with a single problem. The pointer leads from the body to what is at fault, and is empty
    /// for the body as a whole.
    pub fn invalid(pointer: &str, message: impl fmt::Display) -> Self {
        Self::Invalid {
            problems: vec![Problem { pointer: pointer.to_owned(), message: message.to_string() }],
        }
    }

    /// What went wrong, whether with the Score itself or with one of its children.
    pub fn cause(&self) -> &Self {
        match self {
            Self::OfChild { error, .. } => error,
            other => other,
        }
    }

    /// Whether no other Score of the document could be interpreted either.
    pub(crate) fn concerns_whole_document(&self) -> bool {
        match self {
            Self::TooManyChildren { .. }
            | Self::TooManyReferences { .. }
            | Self::TooMuchWork { .. }
            | Self::TooLarge { .. } => true,
            Self::MissingCapability { .. }
            | Self::TooDeep { .. }
            | Self::Unnameable(_)
            | Self::Invalid { .. }
            | Self::OfChild { .. } => false,
        }
    }

    /// The problems of a document in which the body of the Score stands at the pointer `body`; never
    /// none, since the Score is left out.
    pub(crate) fn into_problems(self, body: &str) -> Vec<Problem> {
        match self {
            Self::Invalid { problems } if problems.is_empty() => {
                vec![Problem {
                    pointer: body.to_owned(),
                    message: "the Score refuses this and does not say why".to_owned(),
                }]
            }
            Self::Invalid { problems } => problems
                .into_iter()
                .map(|Problem { pointer, message }| Problem { pointer: format!("{body}{pointer}"), message })
                .collect(),
            Self::OfChild { pointer, error } => {
                vec![Problem { pointer: format!("{body}{pointer}"), message: error.to_string() }]
            }
            other => vec![Problem { pointer: body.to_owned(), message: other.to_string() }],
        }
    }

    /// The same for the parent of the Score that failed: a child's body stands nowhere in the
    /// document, so its problems are shown where the parent made it from.
    pub(crate) fn of_child(self, pointer: &str) -> Self {
        let pointer = pointer.to_owned();
        match self {
            Self::Invalid { problems } => Self::Invalid {
                problems: problems
                    .into_iter()
                    .map(|problem| Problem { pointer: pointer.clone(), ..problem })
                    .collect(),
            },
            Self::OfChild { error, .. } => Self::OfChild { pointer, error },
            other => Self::OfChild { pointer, error: Box::new(other) },
        }
    }
}
