//! Judges who writes a status: one process at a time, and none after it was followed by another.

use std::collections::{BTreeMap, BTreeSet};

use agent_model::status::{AgentStatus, Writer};

use super::{
    record::{Event, Said, Told},
    verdict::Verdict,
};

/// Who claims which epoch.
type Claim = (String, u64);

/// The writers of one device's status.
#[derive(Debug, Default)]
struct Succession {
    last: Option<Writer>,
    /// Processes that another one followed.
    followed: BTreeSet<String>,
    /// Claims that were sent to the store that there is now, or may be under way to it.
    claims: BTreeSet<Claim>,
    /// Claims that an earlier store may have had and the one that there is now may not. Whoever starts on this
    /// store may claim the same epoch, and each time one of the two gives way.
    lost: BTreeSet<Claim>,
    /// What was sent, by instance and number.
    said: BTreeMap<(String, u64), AgentStatus>,
}

/// Follows the writers of all statuses.
#[derive(Debug, Default)]
pub(super) struct Writers(BTreeMap<usize, Succession>);

impl Writers {
    pub(super) fn judge(&mut self, event: &Event) -> Result<(), Verdict> {
        let guilty = |device, evidence| Verdict::SecondWriter { device, evidence };
        match event {
            Event::StoreReplaced => self.0.values_mut().for_each(Succession::lose_store),
            Event::Said(said) => {
                let Said { device, status, .. } = &**said;
                let succession = self.0.entry(*device).or_default();
                succession.says(status).map_err(|why| guilty(*device, why))?;
            }
            Event::Told(told) => {
                let Told { device, revision, status, .. } = &**told;
                let follows = self.0.entry(*device).or_default().follows(&status.writer);
                follows.map_err(|why| guilty(*device, format!("revision {revision}: {why}")))?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Succession {
    fn lose_store(&mut self) {
        self.last = None;
        self.followed.clear();
        self.lost.append(&mut self.claims);
    }

    /// What is sent again is sent as it was: a number stands for one document.
    fn says(&mut self, status: &AgentStatus) -> Result<(), String> {
        let Writer { instance, epoch, op } = &status.writer;
        self.claims.insert((instance.clone(), *epoch));
        let before = self.said.entry((instance.clone(), *op)).or_insert_with(|| status.clone());
        if before == status {
            return Ok(());
        }
        Err(format!("two documents have the same number, {:?}", status.writer))
    }

    fn follows(&mut self, writer: &Writer) -> Result<(), String> {
        let claim = |writer: &Writer| (writer.instance.clone(), writer.epoch);
        self.claims.insert(claim(writer));
        if let Some(last) = &self.last {
            let after = format!("{writer:?} writes after {last:?}");
            if self.followed.contains(&writer.instance) {
                return Err(format!("{after}, though others had followed it"));
            }
            if writer.epoch < last.epoch {
                return Err(format!("{after}: its epoch is lower"));
            }
            if writer.instance == last.instance {
                if writer.op <= last.op {
                    return Err(format!("{after}: it is the same write, or an earlier one"));
                }
            } else {
                // A lost claim excuses one meeting, whichever of the two it is of.
                if writer.epoch == last.epoch
                    && !(self.lost.remove(&claim(last)) || self.lost.remove(&claim(writer)))
                {
                    return Err(format!("{after}: both have the same epoch"));
                }
                self.followed.insert(last.instance.clone());
            }
        }
        self.last = Some(writer.clone());
        Ok(())
    }
}
