//! Judges what devices say: it is so, or was when they said it.
//!
//! A status is written after what it tells of. So when it is heard the device has what it tells of, or what a
//! newer document has put in its place since.

use std::collections::{BTreeMap, BTreeSet};

use agent_model::status::{ConditionStatus, ConditionType, Phase};

use super::{
    documents::Documents,
    record::{BY_HAND, Body, Event, Told},
    verdict::Verdict,
};

/// Follows what each device says and what was done to it by hand.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// What was altered and not seen as declared since.
    altered: BTreeSet<(Body, String)>,
    /// The highest generation that each device said to have in force, since the store has it.
    highest: BTreeMap<Body, u64>,
}

impl Truth {
    pub(super) fn judge(&mut self, event: &Event, documents: &Documents) -> Result<(), Verdict> {
        match event {
            Event::Altered(body, claim) => {
                self.altered.insert((*body, claim.clone()));
            }
            Event::Saw { body, claim, content: Some(content) } if !content.starts_with(BY_HAND) => {
                self.altered.remove(&(*body, claim.clone()));
            }
            // The first that a process tells is what the one before had said, as far as the store knows.
            Event::StoreReplaced => self.highest.clear(),
            Event::Told(told) => {
                let heard = self.is_consistent(told, documents).and_then(|()| self.goes_forward(told));
                return heard.map_err(|why| Verdict::FalseStatus {
                    device: told.device,
                    evidence: format!("revision {}: {why}", told.revision),
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn goes_forward(&mut self, told: &Told) -> Result<(), String> {
        let (Some(body), Some((generation, _))) = (told.about, told.accepted()) else { return Ok(()) };
        let highest = self.highest.entry(body).or_default();
        if generation < *highest {
            return Err(format!("{generation} is in force, after {highest} was"));
        }
        *highest = generation;
        Ok(())
    }

    fn is_consistent(&self, told: &Told, documents: &Documents) -> Result<(), String> {
        let status = &told.status;
        let condition = status.condition(ConditionType::Converged);
        let converged = condition.is_some_and(|condition| condition.status == ConditionStatus::True);
        if status.phase == Phase::Converged && !converged {
            return Err("the phase is Converged and the condition is not".to_owned());
        }
        if !converged {
            return Ok(());
        }
        let Some((generation, digest)) = told.accepted() else {
            return Err("Converged, and nothing is in force".to_owned());
        };
        if status.applied.as_ref().map(|applied| applied.digest) != Some(digest) {
            return Err("Converged, and what is in force is not applied".to_owned());
        }
        if documents.find(told.device, digest).is_none_or(|document| !document.acceptable) {
            return Err(format!("a document is in force that is not in order, of generation {generation}"));
        }
        let Some(body) = told.about else { return Ok(()) };
        let possible: Vec<_> = documents
            .acceptable(told.device)
            .filter(|document| document.digest == digest || document.generation > generation)
            .collect();
        for (claim, content) in &told.disk {
            let declared = possible.iter().any(|document| document.declares.get(claim) == content.as_ref());
            let by_hand = content.as_ref().is_some_and(|content| content.starts_with(BY_HAND));
            let removed = content.is_none() && self.altered.contains(&(body, claim.clone()));
            if !(declared || by_hand || removed) {
                return Err(format!("Converged at generation {generation}, and {claim} is {content:?}"));
            }
        }
        Ok(())
    }
}
