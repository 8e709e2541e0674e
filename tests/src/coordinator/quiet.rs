//! Judges a device to which nothing is done, which has said all it has to say: it asks for nothing any more.
//!
//! The longest pauses of what may still follow a change are half a minute, of a status that tells of mere progress
//! (wire contract: AgentStatus), and about five seconds, of the second read over a new link (ADR-023). What has no cause
//! at all is a heartbeat about every two minutes, and a resync every few hours.

use std::{collections::BTreeMap, time::Duration};

use super::{
    record::{Event, Record},
    verdict::Verdict,
};
use crate::platform::{DESIRED_STATE, HEARTBEAT};

/// Whether a device was quiet from a point in time on, which lies less than the 90 s back that are the shortest pause
/// between two heartbeats that nothing asks for. Meanwhile it may have looked so often for what nobody hinted at.
///
/// # Errors
/// With what it asked for.
pub(super) fn judge(device: usize, since: Duration, resyncs: u32, history: &[Record]) -> Result<(), Verdict> {
    let seen = history.iter().rev().take_while(|record| record.at >= since);
    let mut reads = BTreeMap::new();
    let mut writes = BTreeMap::new();
    for record in seen {
        match record.event {
            Event::Reads(of, bucket) if of == device => *reads.entry(bucket).or_insert(0) += 1,
            Event::Writes(of, place) if of == device => *writes.entry(place).or_insert(0) += 1,
            _ => {}
        }
    }
    let is_quiet = |counts: &BTreeMap<&str, u32>, may_be_once: &str, each: u32| {
        counts.iter().all(|(what, count)| *count <= each + u32::from(*what == may_be_once))
    };
    // The second read over a new link.
    if is_quiet(&reads, DESIRED_STATE, resyncs) && is_quiet(&writes, HEARTBEAT, 0) {
        return Ok(());
    }
    let evidence = format!("at rest, since {since:?}: reads {reads:?}, writes {writes:?}");
    Err(Verdict::Unbounded { device, evidence })
}
