//! From the Scores of a document to the desired state.
//!
//! ```text
//! spec ──document──▶ entries ──registry──▶ Interprets ──topology──▶ declarations ──▶ DesiredState
//!          └─────────────────── every problem, with its place ───────────────────▶ Invalid
//! ```

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use agent_model::{
    Declaration, DesiredStateBuilder, Invalid, Lowered, MAX_RESOURCES, Problem, ResourceKind, ResourceName,
    SpecDocument, nearest, pointer_to, reader::Findings,
};

use crate::{
    ScoreRegistry,
    device_topology::{Device, Usage},
    document::{self, ReadEntry},
};

/// Most unknown names for which the nearest known one is searched: each search looks at all names.
const MAX_SUGGESTIONS: usize = 100;

pub(crate) fn lower(
    document: &SpecDocument<'_>,
    registry: &ScoreRegistry,
    kinds: &Arc<[ResourceKind]>,
) -> Result<Lowered, Invalid> {
    let mut findings = Findings::new(document.unknown_keys);
    let entries = document::read(document.spec, registry, &mut findings);
    let mut lowering = Lowering {
        device: Device { facts: Arc::new(document.facts.clone()), kinds: kinds.clone() },
        usage: Usage::default(),
        findings,
    };
    let declarations = lowering.declarations(&entries);
    let (problems, ignored) = lowering.findings.into_parts();
    let mut builder = DesiredStateBuilder::default();
    problems.into_iter().for_each(|problem| builder.problem(problem.pointer, problem.message));
    declarations.into_iter().for_each(|declaration| builder.declare(declaration));
    Ok(Lowered { state: builder.finish()?, ignored })
}

/// The entries that can be named.
#[derive(Clone, Copy)]
struct Known<'a> {
    by_name: &'a BTreeMap<ResourceName, usize>,
    /// The names of what was declared for each, by the entry's place.
    declared: &'a [Vec<ResourceName>],
}

struct Lowering {
    device: Device,
    usage: Usage,
    findings: Findings,
}

impl Lowering {
    fn declarations(&mut self, entries: &[ReadEntry]) -> Vec<Declaration> {
        if let Some(first_too_many) = entries.get(MAX_RESOURCES) {
            let count = entries.len();
            let message = format!("{count} Scores are more than the {MAX_RESOURCES} a document may have");
            self.findings.problem(&first_too_many.pointer, message);
            return Vec::new();
        }
        let by_name = self.index_names(entries);
        let mut declared: Vec<Vec<Declaration>> = Vec::with_capacity(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            // What is wrong with the name of a second one is said; its resources would only repeat it.
            let is_first = by_name.get(&entry.name) == Some(&i);
            declared.push(if is_first { self.interpret(entry) } else { Vec::new() });
        }
        let names: Vec<Vec<ResourceName>> = declared
            .iter()
            .map(|declarations| declarations.iter().map(|declaration| declaration.name.clone()).collect())
            .collect();
        let known = Known { by_name: &by_name, declared: &names };
        let mut suggestions = 0..MAX_SUGGESTIONS;
        for (entry, declarations) in entries.iter().zip(&mut declared) {
            let depends_on = self.resolve(entry, "dependsOn", &entry.depends_on, known, &mut suggestions);
            let restart_on = self.resolve(entry, "restartOn", &entry.restart_on, known, &mut suggestions);
            let count =
                |targets: &[&Vec<ResourceName>]| targets.iter().map(|names| names.len()).sum::<usize>();
            let references = declarations.len().saturating_mul(count(&depends_on) + count(&restart_on));
            if let Err(error) = self.usage.count_references(references) {
                self.findings.problem(&entry.pointer, error.to_string());
                return Vec::new();
            }
            for declaration in declarations {
                declaration.depends_on.extend(depends_on.iter().copied().flatten().cloned());
                declaration.restart_on.extend(restart_on.iter().copied().flatten().cloned());
            }
        }
        declared.into_iter().flatten().collect()
    }

    /// What was declared for each of the named entries.
    fn resolve<'a>(
        &mut self,
        entry: &ReadEntry,
        key: &str,
        names: &[ResourceName],
        known: Known<'a>,
        suggestions: &mut Range<usize>,
    ) -> Vec<&'a Vec<ResourceName>> {
        let mut targets = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let message = match known.by_name.get(name) {
                _ if *name == entry.name => "a Score cannot name itself".to_owned(),
                Some(target) => {
                    targets.push(&known.declared[*target]);
                    continue;
                }
                None => {
                    let hint = suggestions
                        .next()
                        .and_then(|_| nearest(name.as_str(), known.by_name.keys().map(ResourceName::as_str)))
                        .map(|near| format!("; did you mean {near:?}?"))
                        .unwrap_or_default();
                    format!("no Score of this document is named {:?}{hint}", name.as_str())
                }
            };
            self.findings.problem(pointer_to(&pointer_to(&entry.pointer, key), i), message);
        }
        targets
    }

    /// The first entry of each name.
    fn index_names(&mut self, entries: &[ReadEntry]) -> BTreeMap<ResourceName, usize> {
        let mut by_name = BTreeMap::new();
        for (i, entry) in entries.iter().enumerate() {
            let first = *by_name.entry(entry.name.clone()).or_insert(i);
            if first != i {
                let message =
                    format!("{:?} is already the name of {}", entry.name.as_str(), entries[first].pointer);
                self.findings.problem(pointer_to(&entry.pointer, "name"), message);
            }
        }
        by_name
    }

    fn interpret(&mut self, entry: &ReadEntry) -> Vec<Declaration> {
        let Some(body) = &entry.body else { return Vec::new() };
        match body.interpret(&self.device, &mut self.usage, &entry.pointer, &entry.name) {
            Ok(declarations) => declarations,
            Err(error) => {
                let with = pointer_to(&entry.pointer, "with");
                for Problem { pointer, message } in error.into_problems(|pointer| format!("{with}{pointer}"))
                {
                    self.findings.problem(pointer, message);
                }
                Vec::new()
            }
        }
    }
}
