//! Stopping after repeated crashes, so that a document that crashes the agent neither wears the
//! device out nor keeps its own correction from being read (ADR-028).
//!
//! ```text
//! start ─▶ count what is found under way ─▶ begin ─▶ read, observe, plan, act ─▶ passed: forgotten
//!   ▲        │                                └──────── crash ────────┐
//!   └────────┼────────────────────────────────────────────────────────┘
//!            └─ the fifth within ten minutes ─▶ safe mode, until another document or `resume`
//! ```
//!
//! What a process goes through with a document for the first time is noted in a file before it is
//! begun, and taken out again when it is over. The agent crashes, not the device, so the file is not
//! synced; only safe mode itself is, because it outlasts a power cut. What a process has gone through
//! once is not noted again: a crash in a later pass leads to a start, and that is counted from there.

mod first_passes;
#[cfg(test)]
mod tests;
mod unfinished;

use std::{fmt, fs, io};

use agent_model::{Digest, Generation, Timestamp};

use self::unfinished::Unfinished;
pub(crate) use self::{
    first_passes::{FirstPasses, Reach},
    unfinished::DocumentId,
};
use crate::{
    durable_file::{Durability, Previous, replace},
    state_dir::StateLayout,
};

/// Nothing is applied on this device, and what runs is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafeMode {
    /// The document with which the agent crashed.
    pub digest: Digest,
    /// Its generation.
    pub generation: Generation,
    /// How often the agent crashed.
    pub crashes: usize,
    /// Since when nothing is applied.
    pub since: Timestamp,
}

impl SafeMode {
    /// The safe mode of that state folder, if it is in any.
    pub fn read(layout: &StateLayout) -> Option<Self> {
        load(layout).ok()?.safe_mode()
    }

    /// Ends the safe mode of that state folder. Says which it was, if there was any.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn end(layout: &StateLayout) -> io::Result<Option<Self>> {
        let ended = Self::read(layout);
        if ended.is_some() {
            save(layout, &Unfinished::default(), Durability::Synced)?;
        }
        Ok(ended)
    }
}

impl fmt::Display for SafeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, crashes, .. } = self;
        write!(
            f,
            "the agent crashed {crashes} times in a row with generation {generation} and applies and repairs nothing \
             any more; apply another document, or run `harmony-agent resume` on the device to try this one again"
        )
    }
}

/// What is noted in that state folder; nothing where there is no file.
fn load(layout: &StateLayout) -> io::Result<Unfinished> {
    match fs::read(layout.unfinished()) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Unfinished::default()),
        Err(error) => Err(error),
    }
}

/// Notes it, and where there is nothing to be noted leaves no file.
fn save(layout: &StateLayout, unfinished: &Unfinished, durability: Durability) -> io::Result<()> {
    let path = layout.unfinished();
    if !unfinished.is_empty() {
        return replace(&path, &serde_json::to_vec(unfinished)?, Previous::Discarded, durability);
    }
    match fs::remove_file(&path) {
        Ok(()) if durability == Durability::Synced => fs::File::open(layout.path())?.sync_all(),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
