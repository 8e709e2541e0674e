//! The plans of one pass, and carrying them out.

use std::sync::Arc;

use agent_model::{
    Claim, Failure, ResourceKind, Standing,
    status::{ResourceState, Summary},
};
use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    Inventory, Registry,
    failing::Stage,
    order::{Edge, Order, Turn},
    part::{Due, Part, PartPlan, ResourceOutcome},
    registry::Work,
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
            PartPlan::BackingOff(failing) => part.still_failing(failing),
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
                    run.close(i, part.still_failing(failing), part.entry.clone())
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
