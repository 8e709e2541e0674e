//! From the Scores of a document to the desired state.
//!
//! ```text
//! spec ────read────▶ entries ──registry──▶ Interprets ──topology──▶ declarations ──▶ DesiredState
//!          └─────────────────── every problem, with its place ───────────────────▶ Invalid
//! ```

use std::{collections::BTreeMap, sync::Arc};

use agent_model::{
    Declaration, DesiredStateBuilder, Invalid, Lowered, MAX_RESOURCES, ResourceKind, ResourceName,
    SpecDocument, pointer_to, reader::Findings,
};

use crate::{
    InterpretError, ScoreRegistry,
    device_topology::Device,
    entries::{self, ReadEntry, ReadSpec},
    references::{self, References},
    usage::Usage,
};

pub(crate) fn lower(
    document: &SpecDocument<'_>,
    registry: &ScoreRegistry,
    kinds: &Arc<[ResourceKind]>,
) -> Result<Lowered, Invalid> {
    if document.spec.is_null() {
        return Err(Invalid::at("", "\"spec\" is missing"));
    }
    let mut findings = Findings::new(document.unknown_keys);
    let ReadSpec { mut entries, rollback } = entries::read(document, registry, &mut findings);
    let device = Device { facts: Arc::new(document.facts.clone()), kinds: kinds.clone() };
    let declarations = declarations(&device, &mut entries, &mut findings);
    let (problems, ignored) = findings.into_parts();
    let mut builder = DesiredStateBuilder::default();
    if problems.is_empty()
        && let Some(unread) = entries.iter().find(|entry| entry.body.is_none())
    {
        // To leave it out would remove from the device what an earlier document put there.
        builder
            .problem(pointer_to(&unread.pointer, "with"), "the Score cannot read this and does not say why");
    }
    problems.into_iter().for_each(|problem| builder.problem(problem.pointer, problem.message));
    declarations.into_iter().for_each(|declaration| builder.declare(declaration));
    rollback.into_iter().for_each(|deadline| builder.roll_back_after(deadline));
    Ok(Lowered { state: builder.finish()?, ignored })
}

fn declarations(device: &Device, entries: &mut [ReadEntry], findings: &mut Findings) -> Vec<Declaration> {
    if let Some(first_too_many) = entries.get(MAX_RESOURCES) {
        let count = entries.len();
        let message = format!("{count} Scores are more than the {MAX_RESOURCES} a document may have");
        findings.problem(&first_too_many.pointer, message);
        return Vec::new();
    }
    let by_name = index_names(entries, findings);
    let references = references::resolve(entries, &by_name, findings);
    let mut usage = Usage::default();
    let mut declared = interpret(device, entries, &mut usage, findings);
    if let Err((entry, error)) = expand(&references, &mut declared, &mut usage) {
        findings.problem(&entries[entry].pointer, error.to_string());
    }
    declared.into_iter().flatten().collect()
}

/// The first entry of each name. A second one is a problem by itself and is not interpreted, as its
/// resources would only repeat that problem.
fn index_names(entries: &mut [ReadEntry], findings: &mut Findings) -> BTreeMap<ResourceName, usize> {
    let mut by_name = BTreeMap::new();
    for i in 0..entries.len() {
        let name = entries[i].name.clone();
        let first = *by_name.entry(name.clone()).or_insert(i);
        if first != i {
            let message = format!("{:?} is already the name of {}", name.as_str(), entries[first].pointer);
            findings.problem(pointer_to(&entries[i].pointer, "name"), message);
            entries[i].body = None;
        }
    }
    by_name
}

/// What is declared for each entry.
fn interpret(
    device: &Device,
    entries: &[ReadEntry],
    usage: &mut Usage,
    findings: &mut Findings,
) -> Vec<Vec<Declaration>> {
    let mut declared: Vec<Vec<Declaration>> = entries.iter().map(|_| Vec::new()).collect();
    for (entry, declared) in entries.iter().zip(&mut declared) {
        let Some(body) = &entry.body else { continue };
        match body.interpret(device, usage, &entry.pointer, &entry.name) {
            Ok(declarations) => *declared = declarations,
            Err(error) => {
                let is_final = error.cause().concerns_whole_document();
                for problem in error.into_problems(&pointer_to(&entry.pointer, "with")) {
                    findings.problem(problem.pointer, problem.message);
                }
                if is_final {
                    break;
                }
            }
        }
    }
    declared
}

/// Makes all that is declared for an entry wait for, and be restarted by, all that is declared for
/// those which the entry names.
///
/// # Errors
/// The index of the entry that makes the dependencies too many; earlier entries stay expanded.
fn expand(
    references: &[References],
    declared: &mut [Vec<Declaration>],
    usage: &mut Usage,
) -> Result<(), (usize, InterpretError)> {
    let names: Vec<Vec<ResourceName>> = declared
        .iter()
        .map(|declarations| declarations.iter().map(|declaration| declaration.name.clone()).collect())
        .collect();
    let all_of =
        |places: &[usize]| places.iter().flat_map(|place| &names[*place]).cloned().collect::<Vec<_>>();
    for (entry, (References { depends_on, restart_on }, declarations)) in
        references.iter().zip(declared).enumerate()
    {
        // Counted before they are made: a few words can ask for more than there is memory.
        let each: usize = depends_on.iter().chain(restart_on).map(|place| names[*place].len()).sum();
        usage.count_references(each.saturating_mul(declarations.len())).map_err(|error| (entry, error))?;
        for declaration in declarations {
            declaration.depends_on.extend(all_of(depends_on));
            declaration.restart_on.extend(all_of(restart_on));
        }
    }
    Ok(())
}
