//! One pass: look at every claim, plan, and carry the plans out in order.
//!
//! ```text
//! Executor::prepare ─▶ Pass ──(intents to the ledger)──▶ Pass::run ─▶ PassOutcome
//! ```
//!
//! No deciding belongs here: what to do about a resource is its reconciler's `plan`, in which
//! order is [`order`], and when to try again is [`failing`]. A pass never ends in an error;
//! failures are part of its outcome.

mod declared;
mod failing;
mod order;
mod part;
mod pass;
mod registry;
mod witness;

#[cfg(test)]
mod tests;

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use agent_model::{Claim, DesiredState, Failure, Resource, ResourceKind, status::ResourceRef};
use tokio::time::Instant;

use self::{
    declared::Declared,
    failing::{FailingClaims, Stage},
    order::Edge,
    part::{Attempt, Part},
    registry::{Prepared, Request, Requests, Wanted},
};
use crate::{
    clock::Moment,
    ledger::{InventoryEntry, UntypedRecord},
    policy::DevicePolicy,
    signing::KeyId,
};

pub use part::ResourceOutcome;
pub use pass::{Pass, PassOutcome};
pub use registry::Registry;
pub use witness::{AnnouncedStep, StepEffect, StepEnd, Witness};

/// What we hold on this device, by claim.
pub type Inventory = BTreeMap<Claim, Arc<InventoryEntry>>;

/// What is known of a document besides what it declares.
#[derive(Debug, Clone, Copy, Default)]
pub struct DocumentPast {
    /// Whose signature on it was verified when it was accepted.
    pub signer: Option<KeyId>,
    /// Whether all that it declares was there at one time.
    pub has_converged: bool,
}

/// Prepares passes and remembers, between them, what is failing and what the document means.
pub struct Executor {
    registry: Registry,
    policy: Arc<DevicePolicy>,
    declared: Declared,
    failing: FailingClaims,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("failing", &self.failing).finish_non_exhaustive()
    }
}

impl Executor {
    /// An executor over these reconcilers that does nothing which the policy denies; `seed` feeds the jitter of
    /// retries.
    pub fn new(registry: Registry, policy: Arc<DevicePolicy>, seed: u64) -> Self {
        Self { registry, policy, declared: Declared::default(), failing: FailingClaims::new(seed) }
    }

    /// Tells the reconcilers that the ledger was lost.
    pub fn ledger_was_lost(&self) {
        self.registry.ledger_was_lost();
    }

    /// When the next failing resource is due.
    pub fn next_retry(&self) -> Option<Instant> {
        self.failing.next_retry()
    }

    /// Observes and plans for everything that is declared, by a document with that past, and everything that we hold.
    pub async fn prepare(
        &mut self,
        desired: &DesiredState,
        past: DocumentPast,
        inventory: &Inventory,
        now: Moment,
    ) -> Pass {
        self.declared.follow(desired);
        let (held, dropped) = self.declared.tell_apart(inventory);
        let mut parts = Vec::with_capacity(held.len() + dropped.len());
        let mut requests = Requests::default();
        let judging = self.policy.judging(past.signer);
        for (place, entry) in held.into_iter().enumerate() {
            let (resource, wanted) = self.declared.beside(place, entry, past.has_converged);
            let record = entry.map(|entry| &entry.record);
            let mut part = Part::declared(resource, wanted, entry);
            let declared = &desired.resources()[place];
            let denied = judging.denial(declared).map(|denial| Failure::lasting("PolicyDenied", denial));
            match denied.or_else(|| declared.cannot_unseal()) {
                // Nobody so much as looks at what is denied, or declares a secret that does not open: looking may mean to
                // run a probe, and who does not know the secret cannot tell whether what is there has it.
                Some(failure) => part.take_plan(Prepared::blocked(record.cloned(), failure), None),
                None => requests.ask(
                    place,
                    Request {
                        claim: &resource.claim,
                        wanted: Wanted::Present { spec: &resource.spec, digest: wanted },
                        record,
                    },
                ),
            }
            parts.push(part);
        }
        drop(judging);
        for (claim, entry) in dropped {
            let record = Some(&entry.record);
            requests.ask(parts.len(), Request { claim, wanted: Wanted::Absent, record });
            parts.push(Part::removed(claim.clone(), Arc::clone(entry)));
        }
        let failing = &self.failing;
        let mut take = |place: usize, prepared| {
            let part: &mut Part = &mut parts[place];
            let too_early = failing.too_early(&part.claim, part.wanted(), now).cloned();
            part.take_plan(prepared, too_early);
        };
        self.registry.prepare(requests, &mut take).await;
        let edges = edges(self.declared.waits(past.has_converged), &parts);
        Pass::new(parts, edges, inventory.clone())
    }

    /// Notes what failed and what recovered, and completes the outcome with when each failing
    /// resource is tried again. Gives those for which no plan could be made, and for another reason than
    /// last time: no step tells of them.
    pub fn learn(&mut self, outcome: &mut PassOutcome, now: Moment) -> Vec<(ResourceRef, Failure)> {
        let mut blocked = Vec::new();
        for resource in &mut outcome.resources {
            match std::mem::replace(&mut resource.attempt, Attempt::Fine) {
                Attempt::Failed(stage, failure) => {
                    let known = self.failing.fails_with(&resource.claim, resource.wanted, &failure.reason);
                    if stage == Stage::Planning && !known {
                        let kind = resource.claim.kind().as_str().to_owned();
                        let resource = ResourceRef { kind, name: resource.name.to_string() };
                        blocked.push((resource, (*failure).clone()));
                    }
                    let noted = self.failing.failed(&resource.claim, resource.wanted, stage, *failure, now);
                    resource.attempts = noted.attempts;
                    resource.next_retry = noted.next.map(|(_, wall)| wall);
                }
                Attempt::NotTried => {}
                Attempt::Repaired => self.failing.repaired(&resource.claim, resource.wanted, now),
                Attempt::Fine | Attempt::HeldBack => self.failing.recovered(&resource.claim),
            }
        }
        // Mostly nothing is failing, and nobody asks.
        let spoken_of: LazyCell<BTreeSet<&Claim>, _> =
            LazyCell::new(|| outcome.resources.iter().map(|resource| &resource.claim).collect());
        self.failing.retain(|claim| spoken_of.contains(claim));
        blocked
    }

    /// The last lines that what runs for that resource of `desired` has written.
    pub async fn log_tail(&self, desired: &DesiredState, resource: &Resource) -> Option<String> {
        let wanted = Wanted::Present { spec: &resource.spec, digest: desired.effective_digest(resource) };
        self.registry.log_tail(Request { claim: &resource.claim(), wanted, record: None }).await
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

/// What each part waits for:
/// a declared one for what it depends on, which is given, and for the removal of whatever is in its way;
/// a removal for the removal of its dependents, and, unless it is in somebody's way, for all that
/// is declared, so that the new is there before the old is gone.
fn edges(waits: Vec<Vec<Edge>>, parts: &[Part]) -> Vec<Vec<Edge>> {
    let declared = waits.len();
    let mut edges = waits;
    edges.resize_with(parts.len(), Vec::new);
    let mut in_the_way = BTreeSet::new();
    for (j, removal) in parts.iter().enumerate().skip(declared) {
        for (i, part) in parts.iter().enumerate().take(declared) {
            if part.claim.conflict(&removal.claim).is_some() {
                edges[i].push(Edge::WellDone(j));
                in_the_way.insert(j);
            }
        }
    }
    let mut unseen: Vec<usize> = in_the_way.iter().copied().collect();
    let dependents = removals_by_dependency(&parts[declared..], declared);
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

/// Pairs of removals, the first of which is part `first`: one was needed by the other.
fn removals_by_dependency(removals: &[Part], first: usize) -> BTreeSet<(usize, usize)> {
    let by_claim: BTreeMap<&Claim, usize> = removals.iter().map(|part| &part.claim).zip(first..).collect();
    let mut pairs = BTreeSet::new();
    for (part, dependent) in removals.iter().zip(first..) {
        let needed = part.depends_on().iter().filter_map(|claim| by_claim.get(claim));
        pairs.extend(needed.map(|needed| (*needed, dependent)));
    }
    pairs
}
