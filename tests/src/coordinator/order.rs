//! Judges what lies on devices: only what a document in order declares, and never older than before.

use std::collections::BTreeMap;

use super::{
    documents::Documents,
    record::{BY_HAND, Body, Event},
    verdict::Verdict,
};

/// What was last put there by a document.
#[derive(Debug)]
struct Last {
    content: String,
    origin: u64,
}

/// Follows what each device has, claim by claim.
#[derive(Debug, Default)]
pub(super) struct Order(BTreeMap<(Body, String), Last>);

impl Order {
    pub(super) fn judge(&mut self, event: &Event, documents: &Documents) -> Result<(), Verdict> {
        let Event::Saw { body, claim, content: Some(content) } = event else { return Ok(()) };
        if content.starts_with(BY_HAND) {
            return Ok(());
        }
        let Some(origin) = documents.origin(body.device, claim, content) else {
            let evidence = format!("{claim} is {content:?}");
            return Err(Verdict::NeverDeclared { body: *body, evidence });
        };
        let now = Last { content: content.clone(), origin };
        if let Some(last) = self.0.get(&(*body, claim.clone()))
            // Of two documents of one generation only the first may be put in force.
            && (now.origin < last.origin || now.origin == last.origin && now.content != last.content)
        {
            let evidence = format!(
                "{claim} is {content:?}, of generation {origin}, after it was {:?}, of generation {}",
                last.content, last.origin
            );
            return Err(Verdict::OlderOverNewer { body: *body, evidence });
        }
        self.0.insert((*body, claim.clone()), now);
        Ok(())
    }
}
