//! Judges what happens to processes: what is declared once is started once, whatever becomes of the agent.

use std::collections::{BTreeMap, btree_map::Entry};

use process_shim::ProcessIdentity;

use super::{
    record::{Body, Event},
    verdict::Verdict,
};

/// Follows which process each declaration has led to.
#[derive(Debug, Default)]
pub(super) struct Restarts(BTreeMap<(Body, String, String), ProcessIdentity>);

impl Restarts {
    pub(super) fn judge(&mut self, event: &Event) -> Result<(), Verdict> {
        let Event::Holds { body, claim, content, process } = event else { return Ok(()) };
        match self.0.entry((*body, claim.clone(), content.clone())) {
            Entry::Vacant(vacant) => {
                vacant.insert(*process);
            }
            Entry::Occupied(before) if before.get() != process => {
                let evidence =
                    format!("{claim} is {content:?} as process {process:?}, after it was {:?}", before.get());
                return Err(Verdict::Restarted { body: *body, evidence });
            }
            Entry::Occupied(_) => {}
        }
        Ok(())
    }
}
