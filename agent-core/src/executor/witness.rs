//! Who is told of each step of a pass: what it is before it is done, and how it ended.

use std::{borrow::Cow, time::Duration};

use agent_model::{Conclusion, Failure, status::ResourceRef};
use serde::{Deserialize, Serialize};

/// A step that is going to be done. Its number is its place in what
/// [`Pass::announce`](super::Pass::announce) returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedStep {
    /// The resource that it is a step of.
    pub resource: ResourceRef,
    /// [`Step::summary`](agent_model::Step::summary).
    pub summary: String,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEnd {
    /// It was done.
    Done {
        /// What it came to.
        effect: StepEffect,
        /// How long it took.
        took: Duration,
    },
    /// It was tried and failed.
    Failed {
        /// Why.
        failure: Failure,
        /// How long it took.
        took: Duration,
    },
    /// It was not begun, and this pass will not.
    NotRun {
        /// One PascalCase word.
        reason: Cow<'static, str>,
    },
}

/// What a step that was done came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepEffect {
    /// It prepared for another or cleaned up: the thing itself is as it was.
    Auxiliary,
    /// The thing is as declared for the first time.
    Changed,
    /// The thing is as it was declared before somebody altered it.
    Repaired,
    /// What ran before was started again.
    Restarted,
    /// Nothing is left of what is declared no longer.
    Removed,
    /// It was noted how something came out that runs to its end.
    #[serde(untagged)]
    Concluded(Conclusion),
}

/// Is told how the steps of a pass end, each once and as it happens.
pub trait Witness: Send {
    /// The step of that number ended.
    fn ended(&mut self, step: usize, end: StepEnd);
}

/// Nobody.
impl Witness for () {
    fn ended(&mut self, _step: usize, _end: StepEnd) {}
}
