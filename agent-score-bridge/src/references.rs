//! Which entries of a document wait for which, and by whose change they are restarted.

use std::collections::BTreeMap;

use agent_model::{ResourceName, Suggestions, cycles, pointer_to, reader::Findings};

use crate::entries::ReadEntry;

/// What one entry names: places in the list of entries.
#[derive(Default)]
pub(crate) struct References {
    pub(crate) depends_on: Vec<usize>,
    pub(crate) restart_on: Vec<usize>,
}

/// Finds what each entry names. Unknown names, its own and cycles are noted and left out.
pub(crate) fn resolve(
    entries: &[ReadEntry],
    by_name: &BTreeMap<ResourceName, usize>,
    findings: &mut Findings,
) -> Vec<References> {
    let mut resolver = Resolver { by_name, suggestions: Suggestions::default(), findings };
    let mut references: Vec<References> = entries
        .iter()
        .map(|entry| References {
            depends_on: resolver.places(entry, "dependsOn", &entry.depends_on),
            restart_on: resolver.places(entry, "restartOn", &entry.restart_on),
        })
        .collect();
    cut_cycles(entries, &mut references, findings);
    references
}

struct Resolver<'a> {
    by_name: &'a BTreeMap<ResourceName, usize>,
    suggestions: Suggestions,
    findings: &'a mut Findings,
}

impl Resolver<'_> {
    fn places(&mut self, entry: &ReadEntry, key: &str, names: &[ResourceName]) -> Vec<usize> {
        let mut places = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let message = match self.by_name.get(name) {
                _ if *name == entry.name => "a Score cannot name itself".to_owned(),
                Some(place) => {
                    places.push(*place);
                    continue;
                }
                None => {
                    let known = self.by_name.keys().map(ResourceName::as_str);
                    let hint = self.suggestions.hint(name.as_str(), known);
                    format!("no Score of this document is named {:?}{hint}", name.as_str())
                }
            };
            self.findings.problem(pointer_to(&pointer_to(&entry.pointer, key), i), message);
        }
        places
    }
}

/// Notes cycles and cuts them. It happens before names are expanded to all that is declared for them,
/// so that a cycle is told in the document's own words.
fn cut_cycles(entries: &[ReadEntry], references: &mut [References], findings: &mut Findings) {
    let successors: Vec<Vec<usize>> =
        references.iter().map(|references| references.depends_on.clone()).collect();
    for cycle in cycles(&successors) {
        let names = cycle.iter().chain(cycle.first()).map(|i| entries[*i].name.as_str());
        let message =
            format!("these wait for one another for ever: {}", names.collect::<Vec<_>>().join(" -> "));
        findings.problem(pointer_to(&entries[cycle[0]].pointer, "dependsOn"), message);
        cycle.into_iter().for_each(|on_cycle| references[on_cycle].depends_on.clear());
    }
}
