//! All that the platform ever wrote, and what of it may be found on a device.

use agent_model::Digest;

use super::record::{Document, Event};

/// The documents of all devices.
#[derive(Debug, Default)]
pub struct Documents(Vec<(usize, Document)>);

impl Documents {
    /// Takes in what is written.
    pub fn note(&mut self, event: &Event) {
        if let Event::Wrote(device, document) = event
            && self.find(*device, document.digest).is_none()
        {
            self.0.push((*device, document.clone()));
        }
    }

    /// The document of a device that has this digest.
    pub fn find(&self, device: usize, digest: Digest) -> Option<&Document> {
        self.of(device).find(|document| document.digest == digest)
    }

    /// Those of a device that can be put in force.
    pub fn acceptable(&self, device: usize) -> impl Iterator<Item = &Document> {
        self.of(device).filter(|document| document.acceptable)
    }

    /// The first generation that may have put that content there; `None` when none may.
    pub fn origin(&self, device: usize, claim: &str, content: &str) -> Option<u64> {
        self.acceptable(device)
            .filter(|document| document.declares.get(claim).is_some_and(|declared| declared == content))
            .map(|document| document.generation)
            .min()
    }

    fn of(&self, device: usize) -> impl Iterator<Item = &Document> {
        self.0.iter().filter(move |(of, _)| *of == device).map(|(_, document)| document)
    }
}
