//! Notes what a process goes through with a document for the first time.

use agent_model::{Digest, Generation, Timestamp};

use super::{
    SafeMode, load, save,
    unfinished::{DocumentId, Unfinished},
};
use crate::{durable_file::Durability, state_dir::StateLayout};

/// How far a pass goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// It looks and plans; a pause holds the rest back.
    Planning,
    /// It does what it planned.
    Acting,
}

/// The first passes of this process. By default nothing is noted, and nothing is ever barred.
#[derive(Debug, Default)]
pub(crate) struct FirstPasses {
    layout: Option<StateLayout>,
    unfinished: Unfinished,
    /// What this process has gone through last without a crash, and so need not note again.
    survived: Option<(Digest, Reach)>,
}

impl FirstPasses {
    /// After a start at `now`, which counts for what the process before has left under way.
    /// Documents that cannot be put in force any more, being neither `known` (in force, or the one to go back to) nor
    /// newer than the `highest` that was, are forgotten.
    ///
    /// The file says what is so: what cannot be written there is not counted. Nothing can be applied
    /// on such a disk either.
    pub(crate) fn at_start(
        layout: StateLayout,
        known: &[Digest],
        highest: Option<Generation>,
        now: Timestamp,
    ) -> Self {
        let path = layout.unfinished();
        let found = load(&layout).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "what is noted of crashes cannot be read; counting begins anew");
            Unfinished::default()
        });
        let mut unfinished = found.clone();
        unfinished.retain(|document| {
            known.contains(&document.digest) || highest.is_none_or(|highest| document.generation > highest)
        });
        unfinished.count_start(now);
        if unfinished != found {
            let begins = unfinished.safe_mode().is_some() && found.safe_mode() != unfinished.safe_mode();
            let durability = if begins { Durability::Synced } else { Durability::Eventual };
            if let Err(error) = save(&layout, &unfinished, durability) {
                tracing::warn!(path = %path.display(), %error, "a crash cannot be counted");
                unfinished = found;
            }
        }
        Self { layout: Some(layout), unfinished, survived: None }
    }

    /// What keeps everything from being applied.
    pub(crate) fn safe_mode(&self) -> Option<SafeMode> {
        self.unfinished.safe_mode()
    }

    /// Whether that document must be left alone.
    pub(crate) fn bars(&self, digest: Digest) -> bool {
        self.unfinished.bars(digest)
    }

    /// Something is begun with this document that goes so far.
    pub(crate) fn begin(&mut self, document: DocumentId, reach: Reach) {
        if self.survived.is_none_or(|(digest, so_far)| digest != document.digest || so_far < reach) {
            self.alter(|unfinished| unfinished.begin(document));
        }
    }

    /// The pass of this document went so far and is over. Only one that acted has finished.
    pub(crate) fn passed(&mut self, document: DocumentId, reach: Reach) {
        let known = self.survived.filter(|(digest, _)| *digest == document.digest);
        self.survived = known.max(Some((document.digest, reach)));
        self.alter(|unfinished| match reach {
            Reach::Planning => unfinished.leave_off(),
            Reach::Acting => unfinished.retain(|other| other.digest != document.digest),
        });
    }

    /// What was begun is ended early, on purpose.
    pub(crate) fn leave_off(&mut self) {
        self.alter(Unfinished::leave_off);
    }

    /// Forgets all documents but those of which this is true.
    pub(crate) fn retain(&mut self, kept: impl Fn(Digest) -> bool) {
        self.alter(|unfinished| unfinished.retain(|document| kept(document.digest)));
    }

    fn alter(&mut self, change: impl FnOnce(&mut Unfinished)) {
        let before = self.unfinished.clone();
        change(&mut self.unfinished);
        let Some(layout) = self.layout.as_ref().filter(|_| self.unfinished != before) else { return };
        // A disk that does not serve shows in the condition StateStore already.
        if let Err(error) = save(layout, &self.unfinished, Durability::Eventual) {
            tracing::debug!(%error, "what is under way cannot be noted");
        }
    }
}
