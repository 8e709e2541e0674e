//! Which entries of a document wait for which, and by whose change they are restarted.

use std::collections::BTreeMap;

use agent_model::{ResourceName, nearest, pointer_to, reader::Findings};

use crate::document::ReadEntry;

/// Most unknown names for which the nearest known one is searched: each search looks at all names.
const MAX_SUGGESTIONS: usize = 10;

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
    let mut resolver = Resolver { by_name, suggestions_left: MAX_SUGGESTIONS, findings };
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
    suggestions_left: usize,
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
                None => format!("no Score of this document is named {:?}{}", name.as_str(), self.hint(name)),
            };
            self.findings.problem(pointer_to(&pointer_to(&entry.pointer, key), i), message);
        }
        places
    }

    fn hint(&mut self, name: &ResourceName) -> String {
        let Some(left) = self.suggestions_left.checked_sub(1) else { return String::new() };
        self.suggestions_left = left;
        nearest(name.as_str(), self.by_name.keys().map(ResourceName::as_str))
            .map(|near| format!("; did you mean {near:?}?"))
            .unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    OnPath,
    Done,
}

/// Notes cycles and cuts them. Each entry shows up in one of them at most: where everything waits for
/// everything, there are more cycles than anybody's memory holds.
///
/// It happens before names are expanded to all that is declared for them, so that a cycle is told in
/// the document's own words. Iterative, because a chain may be as long as the document.
fn cut_cycles(entries: &[ReadEntry], references: &mut [References], findings: &mut Findings) {
    let mut marks = vec![Mark::New; entries.len()];
    for start in 0..entries.len() {
        let mut path = Vec::new();
        if marks[start] == Mark::New {
            marks[start] = Mark::OnPath;
            path.push((start, 0));
        }
        while let Some((entry, edge)) = path.last_mut() {
            let Some(&next) = references[*entry].depends_on.get(*edge) else {
                marks[*entry] = Mark::Done;
                path.pop();
                continue;
            };
            *edge += 1;
            match marks[next] {
                Mark::New => {
                    marks[next] = Mark::OnPath;
                    path.push((next, 0));
                }
                Mark::OnPath => {
                    let from = path.iter().position(|(on_path, _)| *on_path == next).unwrap_or(0);
                    let cycle: Vec<usize> = path.drain(from..).map(|(on_cycle, _)| on_cycle).collect();
                    for &on_cycle in &cycle {
                        marks[on_cycle] = Mark::Done;
                        references[on_cycle].depends_on.clear();
                    }
                    let names = cycle.iter().chain([&next]).map(|i| entries[*i].name.as_str());
                    let message = format!(
                        "these wait for one another for ever: {}",
                        names.collect::<Vec<_>>().join(" -> ")
                    );
                    findings.problem(pointer_to(&entries[next].pointer, "dependsOn"), message);
                }
                Mark::Done => {}
            }
        }
    }
}
