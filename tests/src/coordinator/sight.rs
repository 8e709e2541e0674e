//! Judges the coordinator's own eyes: who sees nothing finds nobody guilty.

use std::collections::BTreeSet;

use super::record::{Event, Record};
use crate::platform::{ACTUAL_STATE, DESIRED_STATE, HEARTBEAT};

/// Of so many statuses one may be such that nobody could look at the device that it is about: of a clone that is gone,
/// for one, which the original tells of until it knows better.
const UNSEEN: usize = 10;

/// What is wrong with the eyes by what they saw, of which the part from `last` on must tell of each device by itself.
///
/// # Errors
/// With what they missed.
pub(super) fn judge(devices: usize, history: &[Record], last: usize) -> Result<(), String> {
    for device in 0..devices {
        let last = history.iter().skip(last).map(|record| &record.event);
        let of_device = last.filter(|event| event.device() == Some(device));
        let kinds: BTreeSet<&str> = of_device.filter_map(kind).collect();
        if let Some(missing) = ALL.iter().find(|kind| !kinds.contains(*kind)) {
            return Err(format!("of device {device} they saw {kinds:?} in the end, and not {missing:?}"));
        }
    }
    let events = || history.iter().map(|record| &record.event);
    let mut said = BTreeSet::new();
    let mut unseen = 0;
    for event in events() {
        match event {
            Event::Said(it) => {
                said.insert((it.device, &it.status.writer.instance, it.status.writer.op));
                unseen += usize::from(it.contents.is_none());
            }
            // Whatever is stored was sent before.
            Event::Told(it) => {
                let writer = &it.status.writer;
                if !said.contains(&(it.device, &writer.instance, writer.op)) {
                    return Err(format!("they never saw being sent what is stored: {event}"));
                }
            }
            _ => {}
        }
    }
    let sent = events().filter(|event| matches!(event, Event::Said(_))).count();
    if unseen * UNSEEN > sent {
        return Err(format!("at {unseen} of {sent} statuses nobody could look at the device"));
    }
    Ok(())
}

const READS: &str = "a read of the desired state";
const WRITES: &str = "a write of the status";
const BEATS: &str = "a heartbeat at the server";
const SAID: &str = "a status being sent";
const TOLD: &str = "a status being stored";
const SAW: &str = "another content";
const ALL: [&str; 6] = [READS, WRITES, BEATS, SAID, TOLD, SAW];

/// What must be seen of a device that gets a new document in which everything is new.
fn kind(event: &Event) -> Option<&'static str> {
    match event {
        Event::Reads(_, DESIRED_STATE) => Some(READS),
        Event::Writes(_, ACTUAL_STATE) => Some(WRITES),
        Event::Writes(_, HEARTBEAT) => Some(BEATS),
        Event::Said(_) => Some(SAID),
        Event::Told(_) => Some(TOLD),
        Event::Saw { content: Some(_), .. } => Some(SAW),
        _ => None,
    }
}
