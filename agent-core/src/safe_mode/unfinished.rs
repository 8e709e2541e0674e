//! What was begun and not finished, and how often a start has found it so. Pure.

use std::time::Duration;

use agent_model::{Digest, Generation, Timestamp};
use serde::{Deserialize, Serialize};

use super::SafeMode;
use crate::ledger::AcceptedDocument;

/// So many starts that find the pass of one document unfinished are enough …
pub(super) const STARTS: usize = 5;
/// … when no more time than this lies between the first of them and the last.
pub(super) const WITHIN: Duration = Duration::from_secs(600);
/// The one in force, one that waits to be, and some that came and went before they were finished.
pub(super) const MAX_PASSES: usize = 4;

/// Which document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentId {
    pub(crate) generation: Generation,
    /// Alone tells one document from another.
    pub(crate) digest: Digest,
}

impl From<&AcceptedDocument> for DocumentId {
    fn from(document: &AcceptedDocument) -> Self {
        Self { generation: document.generation, digest: document.digest }
    }
}

/// All that was begun and not finished: `unfinished.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unfinished {
    /// The newest last.
    passes: Vec<UnfinishedPass>,
}

/// One document, whose pass was never finished since this was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UnfinishedPass {
    document: DocumentId,
    /// Whether the agent is at it. An agent that starts and finds this knows that the one before
    /// crashed.
    under_way: bool,
    /// When agents started that found it under way.
    found: Vec<Timestamp>,
    /// Since when nothing is applied because of it.
    safe_mode_since: Option<Timestamp>,
}

impl UnfinishedPass {
    fn tells_something(&self) -> bool {
        self.under_way || !self.found.is_empty() || self.safe_mode_since.is_some()
    }
}

impl Unfinished {
    pub(super) fn is_empty(&self) -> bool {
        self.passes.is_empty()
    }

    /// Counts a start of the agent for everything that it finds under way.
    ///
    /// A time that lies in the future, because the clock was set back or is not set before the
    /// network is there, counts as recent: no finished pass lies between it and now, and that is
    /// what makes it count. Where the clock was set forward, counting begins anew.
    pub(super) fn count_start(&mut self, now: Timestamp) {
        for pass in self.passes.iter_mut().filter(|pass| pass.safe_mode_since.is_none()) {
            pass.found.retain(|found| now.since(*found) <= WITHIN);
            if std::mem::take(&mut pass.under_way) {
                pass.found.push(now);
            }
            if pass.found.len() >= STARTS {
                pass.safe_mode_since = Some(now);
            }
        }
        self.passes.retain(UnfinishedPass::tells_something);
    }

    /// The agent is at this document now.
    pub(super) fn begin(&mut self, document: DocumentId) {
        let known = self.passes.iter_mut().find(|pass| pass.document.digest == document.digest);
        if let Some(pass) = known {
            pass.under_way = true;
            return;
        }
        if self.passes.len() >= MAX_PASSES {
            self.passes.remove(0);
        }
        let pass = UnfinishedPass { document, under_way: true, found: Vec::new(), safe_mode_since: None };
        self.passes.push(pass);
    }

    /// The agent is at nothing any more, and has finished nothing.
    pub(super) fn leave_off(&mut self) {
        self.passes.iter_mut().for_each(|pass| pass.under_way = false);
        self.passes.retain(UnfinishedPass::tells_something);
    }

    /// Forgets all documents but those of which this is true.
    pub(super) fn retain(&mut self, kept: impl Fn(&DocumentId) -> bool) {
        self.passes.retain(|pass| kept(&pass.document));
    }

    /// Whether that document must be left alone.
    pub(super) fn bars(&self, digest: Digest) -> bool {
        self.passes.iter().any(|pass| pass.document.digest == digest && pass.safe_mode_since.is_some())
    }

    /// What keeps everything from being applied; of several documents the newest.
    pub(super) fn safe_mode(&self) -> Option<SafeMode> {
        self.passes.iter().rev().find_map(|pass| {
            let since = pass.safe_mode_since?;
            let DocumentId { generation, digest } = pass.document;
            Some(SafeMode { digest, generation, crashes: pass.found.len(), since })
        })
    }
}
