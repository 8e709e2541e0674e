//! What a device should be: the one form that every manifest format is lowered to.

mod ports;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    Claim, Digest, Invalid, Problem, Resource, ResourceKind, ResourceName, ResourceSpec, Suggestions,
    Unsealer, cycles, pointer_to,
};

/// Most resources that one document may declare.
pub const MAX_RESOURCES: usize = 1024;
/// Most unknown names that are listed.
const MAX_UNKNOWN_NAMES: usize = 1000;

/// What is wrong with a path that only the agent may use.
const RESERVED_PATH: &str = "names of the form .harmony-<16 hex digits>.tmp are the agent's own, for files that \
     it is about to put in place; choose another name";

/// A set of resources that can be had together: names are unique, every name referred to exists,
/// dependencies have no cycle, no two resources claim the same thing or the same port, and none claims a path that is
/// reserved for the agent. Made by [`DesiredStateBuilder`] only, so that holding one is the proof.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DesiredState {
    resources: Arc<[Resource]>,
    rollback_deadline: Option<Duration>,
}

impl DesiredState {
    /// The resources, in the order in which the document declares them.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// How long after its acceptance all of it must have been ready once. If it was not, the device goes back to the
    /// last document that converged. `None` where it never does.
    pub fn rollback_deadline(&self) -> Option<Duration> {
        self.rollback_deadline
    }

    /// Whether both are one and the same, told without comparing what they declare: two that were made
    /// apart are not, even where they are equal.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.resources, &other.resources)
    }

    /// The resource of that name.
    pub fn get(&self, name: &ResourceName) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == *name)
    }

    /// The same with what `unsealer` can tell of all that is sealed in it: see [`Resource::cannot_unseal`].
    #[must_use]
    pub fn with_boxes_tried(self, unsealer: &dyn Unsealer) -> Self {
        if self.resources.iter().all(|resource| !resource.has_boxes()) {
            return self;
        }
        Self {
            resources: self.resources.iter().map(|resource| resource.with_boxes_tried(unsealer)).collect(),
            ..self
        }
    }

    /// The digest that decides whether a running workload is the one declared: it covers the spec
    /// and the specs of what the resource names in `restartOn`, but no names, so that renaming a
    /// resource restarts nothing.
    pub fn effective_digest(&self, resource: &Resource) -> Digest {
        // A job has run for its spec: what it names in `restartOn` does not make it run again.
        if resource.restart_on.is_empty() || resource.kind() == ResourceKind::ShellJob {
            return resource.spec_digest();
        }
        let mut causes: Vec<String> = resource
            .restart_on
            .iter()
            .filter_map(|name| self.get(name))
            .map(|cause| cause.spec_digest().to_string())
            .collect();
        causes.sort_unstable();
        Digest::of_value(
            "harmony/effective",
            &json!({"spec": resource.spec_digest().to_string(), "restartOn": causes}),
        )
    }

    /// The digest of the whole: two documents with the same one ask for the same device, whatever
    /// format they are written in and in whatever order they declare things.
    pub fn digest(&self) -> Digest {
        let resources: BTreeMap<&str, Value> = self
            .resources
            .iter()
            .map(|resource| {
                let mut entry = resource.canonical_without_spec();
                entry.insert("spec".into(), resource.spec_digest().to_string().into());
                (resource.name.as_str(), entry.into())
            })
            .collect();
        let resources = json!(resources);
        match self.rollback_deadline {
            None => Digest::of_value("harmony/desired-state", &resources),
            Some(deadline) => Digest::of_value(
                "harmony/desired-state",
                &json!({"rollbackDeadlineMs": millis(deadline), "resources": resources}),
            ),
        }
    }
}

/// One resource as a format read it. `spec` is `None` where the format has already reported that
/// it is wrong; the name still counts, so that nobody is told twice.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// JSON pointer to what declares it in the document, the keys of which are `name`, `dependsOn`
    /// and `restartOn`.
    pub pointer: String,
    /// JSON pointer to what it claims, for example to its `path`.
    pub claim_pointer: String,
    /// JSON pointer to the spec in the form in which every format writes it, where the document has it so: that of a
    /// part that a Score makes is nowhere in it.
    pub spec_pointer: Option<String>,
    /// The resource's name.
    pub name: ResourceName,
    /// What it waits for.
    pub depends_on: Vec<ResourceName>,
    /// Whose change restarts it.
    pub restart_on: Vec<ResourceName>,
    /// What it declares.
    pub spec: Option<ResourceSpec>,
}

impl Declaration {
    /// A resource without dependencies that is declared as a whole at `pointer`.
    pub fn new(pointer: &str, name: ResourceName, spec: impl Into<ResourceSpec>) -> Self {
        Self {
            pointer: pointer.to_owned(),
            claim_pointer: pointer.to_owned(),
            spec_pointer: None,
            name,
            depends_on: Vec::new(),
            restart_on: Vec::new(),
            spec: Some(spec.into()),
        }
    }
}

/// Collects declarations and problems, and judges what can only be judged with all of them.
#[derive(Debug, Default)]
pub struct DesiredStateBuilder {
    declarations: Vec<Declaration>,
    problems: Vec<Problem>,
    rollback_deadline: Option<Duration>,
}

impl DesiredStateBuilder {
    /// Adds a problem that the format found.
    pub fn problem(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { pointer: pointer.into(), message: message.into() });
    }

    /// Adds a resource.
    pub fn declare(&mut self, declaration: Declaration) {
        self.declarations.push(declaration);
    }

    /// Has the device go back to the last document that converged, unless all is ready by this long after acceptance.
    pub fn roll_back_after(&mut self, deadline: Duration) {
        self.rollback_deadline = Some(deadline);
    }

    /// The desired state.
    ///
    /// # Errors
    /// Every problem, the format's own first.
    pub fn finish(mut self) -> Result<DesiredState, Invalid> {
        if self.declarations.len() > MAX_RESOURCES {
            let count = self.declarations.len();
            let pointer = self.declarations[MAX_RESOURCES].pointer.clone();
            self.problem(
                pointer,
                format!("{count} resources are more than the {MAX_RESOURCES} a document may have"),
            );
            return Err(Invalid { problems: self.problems });
        }
        let by_name = self.index_names();
        self.check_references(&by_name);
        self.check_cycles(&by_name);
        self.check_claims();
        self.check_ports();
        if !self.problems.is_empty() {
            return Err(Invalid { problems: self.problems });
        }
        let resources = self
            .declarations
            .into_iter()
            .filter_map(|declaration| {
                let mut resource = Resource::new(declaration.name, declaration.spec?);
                resource.depends_on = declaration.depends_on;
                resource.restart_on = declaration.restart_on;
                Some(resource)
            })
            .collect();
        Ok(DesiredState { resources, rollback_deadline: self.rollback_deadline })
    }

    fn index_names(&mut self) -> BTreeMap<ResourceName, usize> {
        let mut by_name = BTreeMap::new();
        for (i, declaration) in self.declarations.iter().enumerate() {
            if let Some(first) = by_name.get(&declaration.name) {
                let first: &Declaration = &self.declarations[*first];
                self.problems.push(Problem {
                    pointer: pointer_to(&declaration.pointer, "name"),
                    message: format!(
                        "{:?} is already the name of {}",
                        declaration.name.as_str(),
                        first.pointer
                    ),
                });
            } else {
                by_name.insert(declaration.name.clone(), i);
            }
        }
        by_name
    }

    fn check_references(&mut self, by_name: &BTreeMap<ResourceName, usize>) {
        let mut suggestions = Suggestions::default();
        let mut unknown = 0;
        for declaration in &self.declarations {
            for (key, names) in
                [("dependsOn", &declaration.depends_on), ("restartOn", &declaration.restart_on)]
            {
                for (i, name) in names.iter().enumerate() {
                    if unknown == MAX_UNKNOWN_NAMES {
                        return;
                    }
                    let message = if *name == declaration.name {
                        "a resource cannot name itself".to_owned()
                    } else if by_name.contains_key(name) {
                        continue;
                    } else {
                        let hint = suggestions.hint(name.as_str(), by_name.keys().map(ResourceName::as_str));
                        format!("no resource is named {:?}{hint}", name.as_str())
                    };
                    unknown += 1;
                    let pointer = pointer_to(&pointer_to(&declaration.pointer, key), i);
                    self.problems.push(Problem { pointer, message });
                }
            }
        }
    }

    fn check_cycles(&mut self, by_name: &BTreeMap<ResourceName, usize>) {
        let successors: Vec<Vec<usize>> = self
            .declarations
            .iter()
            .map(|declaration| {
                // Where the spec cannot be read, nobody knows whether it runs.
                let kind = declaration.spec.as_ref().map_or(ResourceKind::File, ResourceSpec::kind);
                let names = kind.waits_for(&declaration.depends_on, &declaration.restart_on);
                let others = names.filter(|name| **name != declaration.name);
                others.filter_map(|name| by_name.get(name).copied()).collect()
            })
            .collect();
        for cycle in cycles(&successors) {
            let names = cycle.iter().chain(cycle.first()).map(|i| self.declarations[*i].name.as_str());
            let message =
                format!("these wait for one another for ever: {}", names.collect::<Vec<_>>().join(" -> "));
            let first = &self.declarations[cycle[0]];
            let next = cycle.get(1).map(|i| &self.declarations[*i].name);
            let depends = next.is_none_or(|next| first.depends_on.contains(next));
            let key = if depends { "dependsOn" } else { "restartOn" };
            let pointer = pointer_to(&first.pointer, key);
            self.problem(pointer, message);
        }
    }

    /// Reports each conflict at the later of the two. Claims sort, and whatever lies below a path
    /// follows it with nothing but conflicts or close neighbours between, so that comparing each
    /// claim with its rivals, of a path its ancestors, is enough.
    fn check_claims(&mut self) {
        let mut claims: BTreeMap<Claim, usize> = BTreeMap::new();
        let mut problems = Vec::new();
        for (i, declaration) in self.declarations.iter().enumerate() {
            let Some(spec) = &declaration.spec else { continue };
            let claim = spec.claim(&declaration.name);
            if let Claim::File(path) = &claim
                && path.is_reserved()
            {
                problems.push(Some(Problem {
                    pointer: declaration.claim_pointer.clone(),
                    message: RESERVED_PATH.to_owned(),
                }));
            }
            if let Some(first) = claims.get(&claim) {
                problems.push(self.conflict(i, *first, &claim, &claim));
            } else {
                claims.insert(claim, i);
            }
        }
        for (claim, i) in &claims {
            for rival in claim.rivals() {
                if let Some((rival, j)) = claims.get_key_value(&rival) {
                    let (later, earlier) = if i > j { (*i, *j) } else { (*j, *i) };
                    problems.push(self.conflict(later, earlier, claim, rival));
                }
            }
        }
        self.problems.extend(problems.into_iter().flatten());
    }

    fn conflict(&self, later: usize, earlier: usize, one: &Claim, two: &Claim) -> Option<Problem> {
        let why = one.conflict(two)?;
        let (later, earlier) = (&self.declarations[later], &self.declarations[earlier]);
        Some(Problem {
            pointer: later.claim_pointer.clone(),
            message: format!("conflicts with {:?}: {why}", earlier.name.as_str()),
        })
    }
}

/// Whole milliseconds; nothing that can be declared is too long.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
