//! Judges what devices say: it is so, or was when they said it.
//!
//! A status or a heartbeat is sent after what it tells of. So when it is sent the device has what it tells of, or
//! what a newer document has put in its place since.

use std::collections::{BTreeMap, BTreeSet};

use agent_model::status::{Heartbeat, Phase};

use super::{
    documents::Documents,
    record::{BY_HAND, Beat, Body, Contents, Document, Event, Said, Told},
    verdict::Verdict,
    wording::{agrees, in_force, ready, says_converged},
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
        let guilty = |device, evidence| Verdict::FalseStatus { device, evidence };
        match event {
            Event::Altered(body, claim) => {
                self.altered.insert((*body, claim.clone()));
            }
            Event::Saw { body, claim, content: Some(content) } if !content.starts_with(BY_HAND) => {
                self.altered.remove(&(*body, claim.clone()));
            }
            // The first that a process tells is what the one before had said, as far as the store knows.
            Event::StoreReplaced => self.highest.clear(),
            Event::Said(said) => {
                let judged = agrees(said.device, &said.status, documents);
                judged
                    .and_then(|()| self.was_so(said, documents))
                    .map_err(|why| guilty(said.device, format!("{why}\n{event}")))?;
            }
            Event::Told(told) => {
                let judged = agrees(told.device, &told.status, documents);
                judged
                    .and_then(|()| self.goes_forward(told))
                    .map_err(|why| guilty(told.device, format!("revision {}: {why}", told.revision)))?;
            }
            Event::Beat(beat) => {
                self.beats_so(beat, documents)
                    .map_err(|why| guilty(beat.device, format!("{why}\n{event}")))?;
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

    fn was_so(&self, said: &Said, documents: &Documents) -> Result<(), String> {
        let Said { device, about, status, contents } = said;
        let (Some(body), Some(contents)) = (about, contents) else { return Ok(()) };
        let Some(in_force) = in_force(*device, status, documents) else { return Ok(()) };
        let look = Look { body: *body, in_force, newer: newer(*device, in_force, documents) };
        if says_converged(status) {
            return self.all_is_there(&look, contents).map_err(|why| format!("Converged, and {why}"));
        }
        for claim in ready(status, in_force)? {
            if let Some(content) = contents.get(claim) {
                self.is_there(&look, claim, content.as_deref()).map_err(|why| format!("Ready, and {why}"))?;
            }
        }
        Ok(())
    }

    fn beats_so(&self, beat: &Beat, documents: &Documents) -> Result<(), String> {
        let Beat { device, heartbeat, contents } = beat;
        let Heartbeat { phase, accepted_generation, .. } = heartbeat;
        let Some(generation) = accepted_generation.map(|generation| generation.get()) else {
            let claims = *phase == Phase::Converged;
            return if claims { Err("Converged, and nothing is in force".to_owned()) } else { Ok(()) };
        };
        let candidates = documents.acceptable(*device).filter(|document| document.generation == generation);
        let candidates: Vec<_> = candidates.collect();
        if candidates.is_empty() {
            return Err(format!("generation {generation} is in force, which no document in order has"));
        }
        if *phase != Phase::Converged || contents.is_empty() {
            return Ok(());
        }
        let mut why_not = Vec::new();
        for (body, contents) in contents {
            for in_force in &candidates {
                let look = Look { body: *body, in_force, newer: newer(*device, in_force, documents) };
                match self.all_is_there(&look, contents) {
                    Ok(()) => return Ok(()),
                    Err(why) => why_not.push(format!("of {body}: {why}")),
                }
            }
        }
        Err(format!("Converged, and {}", why_not.join("; ")))
    }

    fn all_is_there(&self, look: &Look<'_>, contents: &Contents) -> Result<(), String> {
        contents.iter().try_for_each(|(claim, content)| self.is_there(look, claim, content.as_deref()))
    }

    fn is_there(&self, look: &Look<'_>, claim: &str, content: Option<&str>) -> Result<(), String> {
        let mut possible = [look.in_force].into_iter().chain(look.newer.iter().copied());
        let is_declared = possible.clone().any(|document| declared(document, claim) == content);
        let was_altered = self.altered.contains(&(look.body, claim.to_owned()));
        let excused = match content {
            None if is_file(claim) => was_altered,
            // It stops before the next one starts.
            None => {
                let now = declared(look.in_force, claim);
                look.newer.iter().any(|newer| declared(newer, claim) != now)
            }
            // What nobody declares may be what somebody left there before.
            Some(content) => {
                let left = possible.any(|document| declared(document, claim).is_none());
                content.starts_with(BY_HAND) && (was_altered || left)
            }
        };
        if is_declared || excused {
            return Ok(());
        }
        let generation = look.in_force.generation;
        Err(format!("{claim} is {content:?}, with generation {generation} in force"))
    }
}

/// Where and for what is looked.
struct Look<'d> {
    body: Body,
    in_force: &'d Document,
    /// All that may have followed since.
    newer: Vec<&'d Document>,
}

fn newer<'d>(device: usize, in_force: &Document, documents: &'d Documents) -> Vec<&'d Document> {
    documents.acceptable(device).filter(|document| document.generation > in_force.generation).collect()
}

fn declared<'d>(document: &'d Document, claim: &str) -> Option<&'d str> {
    document.declares.get(claim).map(String::as_str)
}

/// Whether a claim is a file. It is replaced in one go; a process is not.
fn is_file(claim: &str) -> bool {
    claim.starts_with('/')
}
