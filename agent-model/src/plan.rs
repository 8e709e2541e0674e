//! What to do about one resource, as plain data.

use std::{borrow::Cow, fmt::Debug};

use serde::{Deserialize, Serialize};

use crate::Failure;

/// One action of a plan. It is data: it can be shown and compared before anything is done.
pub trait Step: Debug + Send + Sync {
    /// The action in a few words for logs and audit, without any content: "replace /etc/app.conf".
    fn summary(&self) -> String;

    /// Whether the action alters the thing itself. Keeping a copy of an original, for example,
    /// does not, and is counted neither as a change nor as a repair.
    fn alters_target(&self) -> bool;

    /// Whether the action starts something again that ran before. That is counted as a restart and
    /// never as a repair, whatever ended it. Where no action of the plan alters the thing, what runs again
    /// is what was there before it: what is declared was given up, and does not count as applied.
    fn restarts_target(&self) -> bool {
        false
    }

    /// How something came out that runs to its end, where the action notes that.
    fn concludes(&self) -> Option<Conclusion> {
        None
    }
}

/// How something came out that runs to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conclusion {
    /// It did what it was for.
    Succeeded,
    /// It ended with another code than 0, or by a signal.
    Failed,
    /// It took longer than it may.
    TimedOut,
    /// Nobody knows how far it got: the device or what held it was ended in its middle.
    Interrupted,
    /// It was ended, because it is declared no longer or otherwise.
    Cancelled,
    /// It was not needed.
    Skipped,
}

impl Conclusion {
    /// Whether nothing is left to be done for what it was for.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped)
    }

    /// As one word of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Interrupted => "Interrupted",
            Self::Cancelled => "Cancelled",
            Self::Skipped => "Skipped",
        }
    }
}

/// What a reconciler decided for one claim, from what is declared, what was recorded and what is
/// there. Following it to the end leaves the claim in [`then`](Plan::then).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<S, R> {
    /// What must be on disk before the first step, so that a power cut between any two steps
    /// loses neither what was there before nor the knowledge of what is ours.
    pub intent: Option<R>,
    /// What to do, in order. Empty when nothing is to be done.
    pub steps: Vec<S>,
    /// What to remember once every step is done; `None` forgets the claim.
    pub record: Option<R>,
    /// How the resource stands once every step is done.
    pub then: Standing,
}

impl<S, R: Clone> Plan<S, R> {
    /// Nothing to do: what is recorded stays recorded.
    pub fn nothing(record: Option<R>, then: Standing) -> Self {
        Self { intent: record.clone(), steps: Vec::new(), record, then }
    }

    /// Nothing can be done for this reason.
    pub fn blocked(record: Option<R>, failure: Failure) -> Self {
        Self::nothing(record, Standing::Failed(failure))
    }
}

/// How a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As declared. Its dependents may go on.
    Ready {
        /// One PascalCase word, for example `InSync`.
        reason: Cow<'static, str>,
        /// What a person may want to know besides; often empty.
        message: String,
        /// Facts of the kind's own for the status, an object or null.
        details: serde_json::Value,
    },
    /// Not to be done, because what it is for is there already. Its dependents may go on.
    Skipped {
        /// One PascalCase word.
        reason: Cow<'static, str>,
        /// What makes it needless.
        message: String,
        /// Facts of the kind's own for the status, an object or null.
        details: serde_json::Value,
    },
    /// On its way without us, for example a process that does not answer its probe yet. A wake
    /// will tell. Nothing counts as applied by it.
    Pending {
        /// One PascalCase word.
        reason: Cow<'static, str>,
        /// What it waits for.
        message: String,
    },
    /// Not as declared, and the plan's steps cannot change that.
    Failed(Failure),
    /// Not there any more, as it should be. Only for claims that are being removed.
    Gone,
}

impl Standing {
    /// On its way without us.
    pub fn pending(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Pending { reason: reason.into(), message: message.into() }
    }

    /// As declared, with nothing more to say.
    pub fn in_sync() -> Self {
        Self::Ready { reason: "InSync".into(), message: String::new(), details: serde_json::Value::Null }
    }
}
