//! One pass: look at every claim, plan, and carry the plans out in order.
//!
//! ```text
//! Executor::prepare ─▶ Pass ──(intents to the ledger)──▶ Pass::run ─▶ PassOutcome
//! ```
//!
//! No deciding belongs here: what to do about a resource is its reconciler's `plan`, in which
//! order is [`order`], and when to try again is [`failing`]. A pass never ends in an error;
//! failures are part of its outcome.

mod failing;
mod order;
mod part;
mod pass;
mod registry;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use agent_model::{Claim, DesiredState, ResourceKind, ResourceName};
use tokio::time::Instant;

use self::{
    failing::FailingClaims,
    order::Edge,
    part::{Attempt, Part, Role},
    registry::{Request, Wanted},
};
use crate::{
    clock::Moment,
    ledger::{InventoryEntry, UntypedRecord},
};

pub use part::ResourceOutcome;
pub use pass::{Pass, PassOutcome};
pub use registry::Registry;

/// What we hold on this device, by claim.
pub type Inventory = BTreeMap<Claim, InventoryEntry>;

/// Prepares passes and remembers, between them, what is failing.
pub struct Executor {
    registry: Registry,
    failing: FailingClaims,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("failing", &self.failing).finish_non_exhaustive()
    }
}

impl Executor {
    /// An executor over these reconcilers; `seed` feeds the jitter of retries.
    pub fn new(registry: Registry, seed: u64) -> Self {
        Self { registry, failing: FailingClaims::new(seed) }
    }

    /// When the next failing resource is due.
    pub fn next_retry(&self) -> Option<Instant> {
        self.failing.next_retry()
    }

    /// Observes and plans for everything that is declared and everything that we hold.
    pub async fn prepare(&mut self, desired: &DesiredState, inventory: &Inventory, now: Moment) -> Pass {
        let mut parts: Vec<Part> = Vec::new();
        let mut requests = Vec::new();
        let claims = claims_by_name(desired);
        for resource in desired.resources() {
            let digest = desired.effective_digest(resource);
            let claim = resource.claim();
            let entry = inventory.get(&claim);
            requests.push(Request {
                claim: claim.clone(),
                wanted: Wanted::Present { spec: resource.spec.clone(), digest },
                record: entry.map(|entry| entry.record.clone()),
            });
            parts.push(Part::declared(
                claim,
                resource,
                digest,
                resource.waits_for().filter_map(|name| claims.get(name).cloned()).collect(),
                entry,
            ));
        }
        let declared: BTreeSet<Claim> = parts.iter().map(|part| part.claim.clone()).collect();
        for (claim, entry) in inventory.iter().filter(|(claim, _)| !declared.contains(*claim)) {
            requests.push(Request {
                claim: claim.clone(),
                wanted: Wanted::Absent,
                record: Some(entry.record.clone()),
            });
            parts.push(Part::removed(claim.clone(), entry.clone()));
        }
        for (part, prepared) in parts.iter_mut().zip(self.registry.prepare(requests).await) {
            let too_early = self.failing.too_early(&part.claim, part.wanted(), now).cloned();
            part.take_plan(prepared, too_early);
        }
        let edges = edges(desired, &parts);
        Pass::new(parts, edges)
    }

    /// Notes what failed and what recovered, and completes the outcome with when each failing
    /// resource is tried again.
    pub fn learn(&mut self, outcome: &mut PassOutcome, now: Moment) {
        for resource in &mut outcome.resources {
            match std::mem::replace(&mut resource.attempt, Attempt::Fine) {
                Attempt::Failed(stage, failure) => {
                    let noted = self.failing.failed(&resource.claim, resource.wanted, stage, failure, now);
                    resource.attempts = noted.attempts;
                    resource.next_retry = noted.next.map(|(_, wall)| wall);
                }
                Attempt::NotTried => {}
                Attempt::Repaired => self.failing.repaired(&resource.claim, resource.wanted, now),
                Attempt::Fine | Attempt::HeldBack => self.failing.recovered(&resource.claim),
            }
        }
        let spoken_of: BTreeSet<&Claim> = outcome.resources.iter().map(|resource| &resource.claim).collect();
        self.failing.retain(|claim| spoken_of.contains(claim));
    }

    /// Lets go of what was kept for `dropped`, once the ledger has durably forgotten it.
    pub async fn release(&self, dropped: Vec<(ResourceKind, UntypedRecord)>, inventory: &Inventory) {
        if !dropped.is_empty() {
            let kept: Vec<_> =
                inventory.iter().map(|(claim, entry)| (claim.kind(), entry.record.clone())).collect();
            self.registry.release(dropped, &kept).await;
        }
    }
}

fn claims_by_name(desired: &DesiredState) -> BTreeMap<&ResourceName, Claim> {
    desired.resources().iter().map(|resource| (&resource.name, resource.claim())).collect()
}

/// What each part waits for:
/// a declared one for what it depends on, and for the removal of whatever is in its way;
/// a removal for the removal of its dependents, and, unless it is in somebody's way, for all that
/// is declared, so that the new is there before the old is gone.
fn edges(desired: &DesiredState, parts: &[Part]) -> Vec<Vec<Edge>> {
    let by_claim: BTreeMap<&Claim, usize> =
        parts.iter().enumerate().map(|(i, part)| (&part.claim, i)).collect();
    let declared = desired.resources().len();
    let mut edges: Vec<Vec<Edge>> = vec![Vec::new(); parts.len()];
    let mut in_the_way = BTreeSet::new();
    for (i, part) in parts.iter().enumerate().take(declared) {
        edges[i].extend(
            part.depends_on().iter().filter_map(|claim| by_claim.get(claim)).map(|j| Edge::WellDone(*j)),
        );
        for (j, removal) in parts.iter().enumerate().skip(declared) {
            if part.claim.conflict(&removal.claim).is_some() {
                edges[i].push(Edge::WellDone(j));
                in_the_way.insert(j);
            }
        }
    }
    let mut unseen: Vec<usize> = in_the_way.iter().copied().collect();
    let dependents = removals_by_dependency(parts, &by_claim);
    for (needed, dependent) in &dependents {
        edges[*needed].push(Edge::WellDone(*dependent));
    }
    // Whatever must go before something that is in the way is in the way itself.
    while let Some(blocking) = unseen.pop() {
        let before = dependents.range((blocking, 0)..(blocking + 1, 0)).map(|(_, dependent)| *dependent);
        unseen.extend(before.filter(|dependent| in_the_way.insert(*dependent)));
    }
    for i in (declared..parts.len()).filter(|i| !in_the_way.contains(i)) {
        edges[i].push(Edge::AllBeforeOver(declared));
    }
    edges
}

/// Pairs of removals: the first was needed by the second.
fn removals_by_dependency(parts: &[Part], by_claim: &BTreeMap<&Claim, usize>) -> BTreeSet<(usize, usize)> {
    let removed = |i: &usize| matches!(parts[*i].role, Role::Removed);
    let mut pairs = BTreeSet::new();
    for dependent in (0..parts.len()).filter(removed) {
        let needed = parts[dependent].depends_on().iter().filter_map(|claim| by_claim.get(claim)).copied();
        pairs.extend(needed.filter(removed).map(|needed| (needed, dependent)));
    }
    pairs
}
