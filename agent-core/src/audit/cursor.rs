//! How far the platform was told.

use std::io;

use serde::{Deserialize, Serialize};

use crate::{
    durable_file::{Durability, Previous, replace},
    state_dir::StateLayout,
};

/// What stands in `events.cursor`. Not synced: after a power cut some events are published again, and readers
/// drop them by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventCursor {
    /// The number of the newest record that needs no telling any more.
    pub published: u64,
}

impl EventCursor {
    /// Reads it; `None` where there is none that can be read.
    pub fn read(layout: &StateLayout) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(layout.events_cursor()).ok()?).ok()
    }

    /// Replaces it.
    ///
    /// # Errors
    /// When the disk does not serve.
    pub fn write(self, layout: &StateLayout) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self)?;
        replace(&layout.events_cursor(), &bytes, Previous::Discarded, Durability::Eventual)
    }
}
