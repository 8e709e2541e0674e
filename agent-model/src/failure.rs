//! Why a resource is not as declared.

use std::{borrow::Cow, time::Duration};

use serde_json::Value;

/// Whether trying again, with nothing else changed, could help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The cause may go away by itself: try again after a growing pause.
    WithBackoff,
    /// The reconciler keeps its own time: look again after this.
    After {
        /// From the look that this was found by.
        delay: Duration,
        /// Failures in a row, as the reconciler counts them.
        attempts: u64,
    },
    /// Only another document, or a change on the device that is observed, can help. The resource
    /// is still looked at in every pass, because someone may have repaired the device.
    WhenSomethingChanges,
}

/// A resource's failure, in the words that a person reads in the status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Failure {
    /// One PascalCase word for programs, for example `NotRegularFile`.
    pub reason: Cow<'static, str>,
    /// What happened, to which thing, and what to do next.
    pub message: String,
    /// Whether trying again could help.
    pub retry: Retry,
    /// Facts of the kind's own for the status, an object or null.
    pub details: Value,
}

impl Failure {
    /// A failure whose cause may go away by itself.
    pub fn passing(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            message: message.into(),
            retry: Retry::WithBackoff,
            details: Value::Null,
        }
    }

    /// A failure that lasts until the document or the device changes.
    pub fn lasting(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            message: message.into(),
            retry: Retry::WhenSomethingChanges,
            details: Value::Null,
        }
    }

    /// The same with these facts.
    #[must_use]
    pub fn with_details(self, details: Value) -> Self {
        Self { details, ..self }
    }
}
