//! What lies between the cursor and the end of the log.

use std::io;

use agent_model::status::Event;

use super::{AuditRecord, Line, Lines, LogFile, chain::seq_of, events::of_newer_agent};
use crate::state_dir::StateLayout;

/// Events that are read at once, so that a long time offline does not fill the memory.
const AT_ONCE: usize = 64;

/// The events that are next to be told.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsent {
    /// In the order of their numbers.
    pub events: Vec<Event>,
    /// Up to which record they tell of everything.
    pub up_to: u64,
}

/// The first events after record `after`, none of them beyond `newest`. Where records are gone that nobody told
/// of, an event `Gap` stands in their place. Without `after` it begins with the oldest record that there is.
///
/// # Errors
/// When a file cannot be read.
pub fn unsent(layout: &StateLayout, after: Option<u64>, newest: u64) -> io::Result<Unsent> {
    let mut unsent = Unsent { events: Vec::new(), up_to: after.unwrap_or(0) };
    let mut known = after.is_some();
    let files = LogFile::open_all(layout)?;
    for (place, file) in files.iter().enumerate() {
        let next = files.get(place + 1).and_then(|next| next.first);
        if next.is_some_and(|next| next <= unsent.up_to.saturating_add(1)) {
            continue;
        }
        for line in Lines::of(&file.file) {
            let Line::Whole(line) = line? else { break };
            let Some(seq) = seq_of(&line).filter(|seq| *seq > unsent.up_to) else { continue };
            if seq > newest || unsent.events.len() >= AT_ONCE {
                return Ok(unsent);
            }
            let record: Option<AuditRecord> = serde_json::from_slice(&line).ok();
            if known && seq > unsent.up_to + 1 {
                unsent.events.push(gap(unsent.up_to + 1, seq - 1, record.as_ref()));
            }
            known = true;
            unsent.up_to = seq;
            unsent.events.extend(match record {
                Some(record) => record.event(),
                None => of_newer_agent(&line),
            });
        }
    }
    Ok(unsent)
}

/// The records from one to another are gone. It has the number of the last of them, which nobody else has.
fn gap(from: u64, to: u64, next: Option<&AuditRecord>) -> Event {
    Event {
        seq: to,
        time: next.map_or(agent_model::Timestamp::UNIX_EPOCH, |next| next.time),
        event_type: "Gap".to_owned(),
        reason: "RecordsLost".to_owned(),
        message: format!("the device holds the records {from} to {to} no longer, and had not told of them"),
        resource: None,
        generation: None,
    }
}
