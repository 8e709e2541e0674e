//! Judges who writes a status: one process at a time, and none after it was followed by another.

use std::collections::{BTreeMap, BTreeSet};

use agent_model::status::Writer;

use super::{
    record::{Event, Told},
    verdict::Verdict,
};

/// The writers of one device's status.
#[derive(Debug, Default)]
struct Succession {
    last: Option<Writer>,
    /// Processes that another one followed.
    followed: BTreeSet<String>,
}

/// Follows the writers of all statuses.
#[derive(Debug, Default)]
pub(super) struct Writers {
    devices: BTreeMap<usize, Succession>,
    /// Whether a store was ever replaced: with it a claim may be lost, and then two may have the same epoch.
    replaced: bool,
}

impl Writers {
    pub(super) fn judge(&mut self, event: &Event) -> Result<(), Verdict> {
        match event {
            Event::StoreReplaced => {
                self.devices.clear();
                self.replaced = true;
                Ok(())
            }
            Event::Told(told) => self.follows(told).map_err(|why| Verdict::SecondWriter {
                device: told.device,
                evidence: format!("revision {}: {why}", told.revision),
            }),
            _ => Ok(()),
        }
    }

    fn follows(&mut self, told: &Told) -> Result<(), String> {
        let Succession { last, followed } = self.devices.entry(told.device).or_default();
        let writer = &told.status.writer;
        if let Some(last) = last {
            let after = format!("{writer:?} writes after {last:?}");
            if followed.contains(&writer.instance) {
                return Err(format!("{after}, though others had followed it"));
            }
            if writer.epoch < last.epoch {
                return Err(format!("{after}: its epoch is lower"));
            }
            if writer.instance == last.instance {
                if writer.op <= last.op {
                    return Err(format!("{after}: it is the same write, or an earlier one"));
                }
            } else if writer.epoch == last.epoch && !self.replaced {
                return Err(format!("{after}: both have the same epoch"));
            } else {
                followed.insert(last.instance.clone());
            }
        }
        *last = Some(writer.clone());
        Ok(())
    }
}
