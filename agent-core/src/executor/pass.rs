//! The plans of one pass, and carrying them out.

use std::sync::Arc;

use agent_model::{
    Claim, Digest, Failure, Resource, ResourceKind, ResourceName, Standing, Timestamp,
    status::{ResourceState, Summary},
};
use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    Inventory, Registry,
    failing::{Failing, Stage},
    order::{Edge, Order, Turn},
    registry::{Prepared, Work},
};
use crate::ledger::InventoryEntry;

/// How many independent resources are acted on at the same time.
const MAX_AT_ONCE: usize = 8;

/// What a pass found and is going to do. Nothing has been done yet.
pub struct Pass {
    parts: Vec<Part>,
    edges: Vec<Vec<Edge>>,
    registry: Registry,
}

/// One claim of a pass.
pub(super) struct Part {
    pub(super) claim: Claim,
    pub(super) role: Role,
    name: ResourceName,
    depends_on: Vec<Claim>,
    entry: Option<InventoryEntry>,
    plan: PartPlan,
}

/// What a claim is to the document.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Declared { spec_digest: Digest, wanted: Digest },
    Removed,
}

enum PartPlan {
    /// Nothing is to be done.
    Settled { record: Option<serde_json::Value>, then: Standing },
    /// There are steps to be done.
    Due(Due),
    /// There are steps to be done, but not yet.
    BackingOff(Box<Failing>),
}

struct Due {
    intent: Option<serde_json::Value>,
    record: Option<serde_json::Value>,
    then: Standing,
    work: Arc<dyn Work>,
}

/// How one resource came out of a pass.
#[derive(Debug, Clone)]
pub struct ResourceOutcome {
    /// What it is about.
    pub claim: Claim,
    /// Its name.
    pub name: ResourceName,
    /// The digest of its spec; `None` while it is being removed.
    pub spec_digest: Option<Digest>,
    /// Where it stands.
    pub state: ResourceState,
    /// One PascalCase word.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Facts of the kind's own.
    pub details: serde_json::Value,
    /// Passes that altered it for a new spec.
    pub changes: u64,
    /// Repairs.
    pub drift_corrections: u64,
    /// Restarts.
    pub restarts: u64,
    /// Failures in a row.
    pub attempts: u64,
    /// When it is tried again.
    pub next_retry: Option<Timestamp>,
    pub(super) wanted: Option<Digest>,
    /// It was not looked into, because of something else.
    pub(super) held_back: bool,
    /// It was removed, and nothing is left to be said about it.
    gone: bool,
    pub(super) failure: Option<(Stage, Failure)>,
}

/// What came of a pass.
#[derive(Debug)]
pub struct PassOutcome {
    /// What we hold now.
    pub inventory: Inventory,
    /// Every declared resource in the document's order, then what is still being removed.
    pub resources: Vec<ResourceOutcome>,
    /// Whether a newer document ended the pass before everything had its turn.
    pub interrupted: bool,
}

impl PassOutcome {
    /// Whether everything is as declared, and everything that is declared no longer is gone.
    pub fn is_converged(&self) -> bool {
        let summary = self.summary();
        summary.ready == summary.total && !self.interrupted
    }

    /// Counts of the resources.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for resource in &self.resources {
            summary.total += 1;
            match resource.state {
                ResourceState::Ready | ResourceState::Skipped => summary.ready += 1,
                ResourceState::Failed => summary.failed += 1,
                ResourceState::Pending | ResourceState::Applying | ResourceState::Removing => {
                    summary.pending += 1
                }
            }
        }
        summary
    }
}

impl Part {
    pub(super) fn declared(
        claim: Claim,
        resource: &Resource,
        wanted: Digest,
        depends_on: Vec<Claim>,
        entry: Option<&InventoryEntry>,
    ) -> Self {
        let role = Role::Declared { spec_digest: resource.spec_digest(), wanted };
        Self {
            claim,
            role,
            name: resource.name.clone(),
            depends_on,
            entry: entry.cloned(),
            plan: PartPlan::Settled { record: None, then: Standing::Gone },
        }
    }

    pub(super) fn removed(claim: Claim, entry: InventoryEntry) -> Self {
        let (name, depends_on) = (entry.name.clone(), entry.depends_on.clone());
        Self {
            claim,
            role: Role::Removed,
            name,
            depends_on,
            entry: Some(entry),
            plan: PartPlan::Settled { record: None, then: Standing::Gone },
        }
    }

    /// The claims it depends on, or depended on when it was made.
    pub(super) fn depends_on(&self) -> &[Claim] {
        &self.depends_on
    }

    /// The effective digest that is wanted; `None` for a removal.
    pub(super) fn wanted(&self) -> Option<Digest> {
        match self.role {
            Role::Declared { wanted, .. } => Some(wanted),
            Role::Removed => None,
        }
    }

    pub(super) fn take_plan(&mut self, prepared: Prepared, too_early: Option<Failing>) {
        let Prepared { intent, record, then, work } = prepared;
        self.plan = match (work, too_early) {
            (None, _) => PartPlan::Settled { record, then },
            (Some(_), Some(failing)) => PartPlan::BackingOff(Box::new(failing)),
            (Some(work), None) => PartPlan::Due(Due { intent, record, then, work: work.into() }),
        };
    }

    /// The inventory's entry with this record, before or after the steps.
    fn entry_with(&self, record: serde_json::Value) -> InventoryEntry {
        let entry = self.entry.as_ref();
        InventoryEntry {
            name: self.name.clone(),
            depends_on: self.depends_on.clone(),
            record,
            applied_digest: entry.and_then(|entry| entry.applied_digest),
            changes: entry.map_or(0, |entry| entry.changes),
            drift_corrections: entry.map_or(0, |entry| entry.drift_corrections),
            restarts: entry.map_or(0, |entry| entry.restarts),
        }
    }

    /// The inventory's entry once every step is done. Steps that altered the target repaired
    /// something if the same was fully applied before, and brought something new otherwise.
    fn entry_after(&self, record: serde_json::Value, altered: bool) -> InventoryEntry {
        let mut entry = self.entry_with(record);
        let repaired = entry.applied_digest == self.wanted();
        match (altered, repaired) {
            (true, true) => entry.drift_corrections += 1,
            (true, false) => entry.changes += 1,
            (false, _) => {}
        }
        entry.applied_digest = self.wanted();
        entry
    }

    fn outcome(
        &self,
        state: ResourceState,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> ResourceOutcome {
        let state = match (self.role, state) {
            (Role::Removed, ResourceState::Pending | ResourceState::Applying) => ResourceState::Removing,
            (_, state) => state,
        };
        let entry = self.entry.as_ref();
        ResourceOutcome {
            claim: self.claim.clone(),
            name: self.name.clone(),
            spec_digest: match self.role {
                Role::Declared { spec_digest, .. } => Some(spec_digest),
                Role::Removed => None,
            },
            state,
            reason: reason.into(),
            message: message.into(),
            details: serde_json::Value::Null,
            changes: entry.map_or(0, |entry| entry.changes),
            drift_corrections: entry.map_or(0, |entry| entry.drift_corrections),
            restarts: entry.map_or(0, |entry| entry.restarts),
            attempts: 0,
            next_retry: None,
            wanted: self.wanted(),
            held_back: false,
            gone: false,
            failure: None,
        }
    }

    fn held_back(&self, reason: &str, message: impl Into<String>) -> ResourceOutcome {
        ResourceOutcome { held_back: true, ..self.outcome(ResourceState::Pending, reason, message) }
    }

    fn failed(&self, stage: Stage, failure: Failure) -> ResourceOutcome {
        let mut outcome =
            self.outcome(ResourceState::Failed, failure.reason.clone(), failure.message.clone());
        outcome.failure = Some((stage, failure));
        outcome
    }

    /// How it stands when there is nothing (more) to do for it.
    fn settled(&self, then: Standing) -> ResourceOutcome {
        match then {
            Standing::Ready { reason, message, details } => {
                ResourceOutcome { details, ..self.outcome(ResourceState::Ready, reason, message) }
            }
            Standing::Pending { reason, message } => self.outcome(ResourceState::Pending, reason, message),
            Standing::Failed(failure) => self.failed(Stage::Planning, failure),
            Standing::Gone => {
                ResourceOutcome { gone: true, ..self.outcome(ResourceState::Ready, "Gone", "") }
            }
        }
    }
}

impl Pass {
    pub(super) fn new(parts: Vec<Part>, edges: Vec<Vec<Edge>>, registry: Registry) -> Self {
        Self { parts, edges, registry }
    }

    /// Whether there are steps to do. If so, [`intents`](Self::intents) must be durable first.
    pub fn has_work(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.plan, PartPlan::Due(_)))
    }

    /// What we hold, or may hold if the power is cut in the middle of the pass.
    pub fn intents(&self) -> Inventory {
        let mut inventory = Inventory::new();
        for part in &self.parts {
            let entry = match &part.plan {
                PartPlan::Due(Due { intent: Some(intent), .. }) => Some(part.entry_with(intent.clone())),
                _ => part.entry.clone(),
            };
            inventory.extend(entry.map(|entry| (part.claim.clone(), entry)));
        }
        inventory
    }

    /// What is to be said of the pass before its steps are done: those are `state`.
    pub fn preview(&self, state: ResourceState, reason: &str, message: &str) -> PassOutcome {
        let resources = self.parts.iter().map(|part| match &part.plan {
            PartPlan::Settled { then, .. } => part.settled(then.clone()),
            PartPlan::BackingOff(failing) => still_failing(part, failing),
            PartPlan::Due(_) => part.outcome(state, reason, message),
        });
        let resources = resources.filter(|outcome| !outcome.gone).collect();
        PassOutcome { inventory: self.intents(), resources, interrupted: false }
    }

    /// Carries the plans out. Independent parts run at the same time, a bound on how many; parts
    /// that have not begun when `superseded` says so are left for the next pass.
    pub async fn run(self, superseded: impl Fn() -> bool) -> PassOutcome {
        let Self { parts, edges, registry } = self;
        let held: Vec<(Claim, serde_json::Value)> = parts
            .iter()
            .filter_map(|part| Some((part.claim.clone(), part.entry.as_ref()?.record.clone())))
            .collect();
        let mut run = Run::settle(parts, edges);
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < MAX_AT_ONCE
                && let Some((part, work)) = run.next(&superseded)
            {
                under_way.push(async move { (part, work.alters_target(), work.run().await) });
            }
            match under_way.next().await {
                Some((part, altered, result)) => run.finish(part, altered, result),
                None if run.is_over() => break,
                None => run.break_cycle(),
            }
        }
        let outcome = run.outcome();
        release_dropped(&registry, held, &outcome.inventory).await;
        outcome
    }
}

/// A pass under way.
struct Run {
    parts: Vec<Part>,
    order: Order,
    /// Parts with steps that have not begun.
    open: Vec<usize>,
    outcomes: Vec<Option<ResourceOutcome>>,
    inventory: Inventory,
    interrupted: bool,
}

impl Run {
    /// Notes all parts that have no steps to be done now.
    fn settle(parts: Vec<Part>, edges: Vec<Vec<Edge>>) -> Self {
        let outcomes = parts.iter().map(|_| None).collect();
        let order = Order::new(edges);
        let mut run = Self {
            parts,
            order,
            open: Vec::new(),
            outcomes,
            inventory: Inventory::new(),
            interrupted: false,
        };
        for i in 0..run.parts.len() {
            let part = &run.parts[i];
            match &part.plan {
                PartPlan::Due(_) => run.open.push(i),
                PartPlan::BackingOff(failing) => {
                    run.close(i, still_failing(part, failing), part.entry.clone())
                }
                PartPlan::Settled { record, then } => {
                    let entry = match then {
                        Standing::Failed(_) => part.entry.clone(),
                        _ => record.clone().map(|record| part.entry_with(record)),
                    };
                    let in_place = matches!(then, Standing::Ready { .. } | Standing::Pending { .. });
                    let entry = entry.map(|entry| InventoryEntry {
                        applied_digest: if in_place { part.wanted() } else { entry.applied_digest },
                        ..entry
                    });
                    run.close(i, part.settled(then.clone()), entry);
                }
            }
        }
        run
    }

    /// The next part whose steps may begin, if there is one.
    fn next(&mut self, superseded: impl Fn() -> bool) -> Option<(usize, Arc<dyn Work>)> {
        loop {
            let (place, turn) =
                self.open.iter().enumerate().find_map(|(place, i)| match self.order.turn(*i) {
                    Turn::Later => None,
                    turn => Some((place, turn)),
                })?;
            let i = self.open.remove(place);
            let part = &self.parts[i];
            match turn {
                Turn::Never { because_of } => {
                    let needed = &self.parts[because_of];
                    let state = self.outcomes[because_of].as_ref().map(|outcome| outcome.state);
                    let how =
                        if state == Some(ResourceState::Failed) { "is failing" } else { "is not ready" };
                    let message = format!("waits for {:?}, which {how}", needed.name.as_str());
                    self.close(i, part.held_back("DependencyNotReady", message), part.entry.clone());
                }
                _ if superseded() => {
                    self.interrupted = true;
                    let message = "a newer document came in between";
                    self.close(i, part.held_back("Superseded", message), part.entry.clone());
                }
                _ => {
                    if let PartPlan::Due(due) = &part.plan {
                        return Some((i, Arc::clone(&due.work)));
                    }
                }
            }
        }
    }

    /// Notes how a part's steps came out.
    fn finish(&mut self, i: usize, altered: bool, result: Result<(), Failure>) {
        let part = &self.parts[i];
        let PartPlan::Due(due) = &part.plan else { return };
        match result {
            Err(failure) => {
                let entry = due.intent.clone().map(|intent| part.entry_with(intent));
                self.close(i, part.failed(Stage::Applying, failure), entry.or_else(|| part.entry.clone()));
            }
            Ok(()) => {
                let entry = due.record.clone().map(|record| part.entry_after(record, altered));
                let mut outcome = part.settled(due.then.clone());
                if let Some(entry) = &entry {
                    (outcome.changes, outcome.drift_corrections) = (entry.changes, entry.drift_corrections);
                }
                self.close(i, outcome, entry);
            }
        }
    }

    fn close(&mut self, i: usize, outcome: ResourceOutcome, entry: Option<InventoryEntry>) {
        let well_done = matches!(outcome.state, ResourceState::Ready | ResourceState::Skipped);
        self.order.over(i, well_done);
        self.inventory.extend(entry.map(|entry| (self.parts[i].claim.clone(), entry)));
        self.outcomes[i] = Some(outcome);
    }

    fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// What two documents left behind, each half applied, may depend on one another in a circle:
    /// then one of them goes first.
    fn break_cycle(&mut self) {
        if let Some(first) = self.open.first() {
            self.order.free(*first);
        }
    }

    fn outcome(self) -> PassOutcome {
        let resources = self.outcomes.into_iter().flatten().filter(|outcome| !outcome.gone).collect();
        PassOutcome { inventory: self.inventory, resources, interrupted: self.interrupted }
    }
}

fn still_failing(part: &Part, failing: &Failing) -> ResourceOutcome {
    let failure = &failing.failure;
    ResourceOutcome {
        attempts: failing.attempts,
        next_retry: failing.next.map(|(_, wall)| wall),
        held_back: true,
        ..part.outcome(ResourceState::Failed, failure.reason.clone(), failure.message.clone())
    }
}

async fn release_dropped(registry: &Registry, held: Vec<(Claim, serde_json::Value)>, inventory: &Inventory) {
    let dropped: Vec<(ResourceKind, serde_json::Value)> = held
        .into_iter()
        .filter(|(claim, _)| !inventory.contains_key(claim))
        .map(|(claim, record)| (claim.kind(), record))
        .collect();
    if !dropped.is_empty() {
        let kept: Vec<_> =
            inventory.iter().map(|(claim, entry)| (claim.kind(), entry.record.clone())).collect();
        registry.release(dropped, &kept).await;
    }
}
