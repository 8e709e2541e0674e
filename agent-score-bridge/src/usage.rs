//! What the Scores of a document may use up together, and how much of it they have used.

use agent_model::MAX_RESOURCES;

use crate::InterpretError;

/// Most child Scores of a document: four for each resource that it may have.
const MAX_CHILDREN: usize = 4 * MAX_RESOURCES;
/// Most dependencies of a document: as many as one of 512 KiB could spell out by itself.
const MAX_REFERENCES: usize = 131_072;
/// Most work for all Scores of a document: a moment for a small device. What a unit of it is worth is
/// for each Score to say; `ConfigSet` counts four for a step of a template or 64 bytes.
const MAX_WORK: u64 = 250_000;
/// Most bytes of the contents of all files, and the commands and environments of all that runs, that are
/// declared for a document, which itself may have 512 KiB.
const MAX_CONTENT: u64 = 4 << 20;

/// What the Scores of a document have used up together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    children: u64,
    references: u64,
    work: u64,
    content: u64,
}

impl Usage {
    /// The work that is left.
    pub(crate) fn remaining_work(&self) -> u64 {
        MAX_WORK.saturating_sub(self.work)
    }

    /// Counts dependencies that are about to be made.
    ///
    /// # Errors
    /// When they would be too many.
    pub(crate) fn count_references(&mut self, count: usize) -> Result<(), InterpretError> {
        let error = InterpretError::TooManyReferences { limit: MAX_REFERENCES };
        add(&mut self.references, count as u64, MAX_REFERENCES as u64, error)
    }

    pub(crate) fn count_work(&mut self, work: u64) -> Result<(), InterpretError> {
        add(&mut self.work, work, MAX_WORK, InterpretError::TooMuchWork { limit: MAX_WORK })
    }

    pub(crate) fn count_content(&mut self, bytes: u64) -> Result<(), InterpretError> {
        add(&mut self.content, bytes, MAX_CONTENT, InterpretError::TooLarge { limit: MAX_CONTENT })
    }

    pub(crate) fn count_child(&mut self) -> Result<(), InterpretError> {
        let error = InterpretError::TooManyChildren { limit: MAX_CHILDREN };
        add(&mut self.children, 1, MAX_CHILDREN as u64, error)
    }
}

/// Adds to what is used up, or leaves it as it is when that would be beyond the limit.
fn add(used: &mut u64, more: u64, limit: u64, error: InterpretError) -> Result<(), InterpretError> {
    *used = used.checked_add(more).filter(|sum| *sum <= limit).ok_or(error)?;
    Ok(())
}
