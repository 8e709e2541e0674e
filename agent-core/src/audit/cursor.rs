//! How far the platform was told.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::files::open;
use crate::{
    durable_file::{Durability, Previous, replace},
    state_dir::StateLayout,
};

/// No cursor is longer, in bytes.
const MAX_LEN: u64 = 4096;

/// What stands in `events.cursor`. Not synced: after a power cut some events are published again, and readers
/// drop those that they have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventCursor {
    /// The number of the newest record that needs no telling any more.
    pub published: u64,
}

impl EventCursor {
    /// Reads it; `None` where there is none that can be read.
    pub fn read(layout: &StateLayout) -> Option<Self> {
        let file = open(&layout.events_cursor()).ok()??;
        serde_json::from_reader(file.take(MAX_LEN)).ok()
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
