//! The plans of one pass, and carrying them out.

use std::{collections::BTreeSet, ops::Range, sync::Arc, time::Duration};

use agent_model::{
    Claim, Failure, ResourceKind, Standing,
    status::{ResourceRef, ResourceState, Summary},
};
use crash_point::crash_point;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{
    Inventory,
    failing::Stage,
    order::{Edge, Order, Turn},
    part::{Attempt, Part, PartPlan, ResourceOutcome, Role},
    registry::{Effect, Work},
    witness::{AnnouncedStep, StepEnd, Witness},
};
use crate::ledger::{InventoryEntry, UntypedRecord};

/// How many independent resources are acted on at the same time.
const MAX_AT_ONCE: usize = 8;

/// What a pass found and is going to do. Of the parts with steps none has begun.
pub struct Pass {
    parts: Vec<Part>,
    order: Order,
    /// Parts with steps that have not begun, and those that wait for some of these to be looked at again.
    open: Vec<usize>,
    /// How each part came out that is over.
    outcomes: Vec<Option<ResourceOutcome>>,
    /// What we hold: as before the pass, but for parts that are over.
    inventory: Inventory,
    /// See [`PassOutcome::dropped`].
    dropped: Vec<(ResourceKind, UntypedRecord)>,
    interrupted: bool,
    /// The numbers of each part's steps that were announced and have not ended.
    announced: Vec<Range<usize>>,
    /// How steps ended of which the witness was not told yet.
    ended: Vec<(usize, StepEnd)>,
}

/// What came of a pass.
#[derive(Debug)]
pub struct PassOutcome {
    /// What we hold now.
    pub inventory: Inventory,
    /// Every declared resource in the document's order, then what is still being removed.
    pub resources: Vec<ResourceOutcome>,
    /// Whether the pass ended before everything had its turn.
    pub interrupted: bool,
    /// Records that the inventory does not hold any more, or not as they were. What was kept for
    /// them alone may be let go of as soon as that is durable:
    /// [`Executor::release`](super::Executor::release).
    pub dropped: Vec<(ResourceKind, UntypedRecord)>,
}

impl PassOutcome {
    /// What is to be said where no pass can be made: all that we hold waits.
    pub(crate) fn left_alone(inventory: &Inventory, reason: &'static str, message: &str) -> Self {
        let waiting = |(claim, entry): (&Claim, &Arc<InventoryEntry>)| {
            ResourceOutcome::left_alone(claim.clone(), entry, reason, message)
        };
        Self {
            inventory: inventory.clone(),
            resources: inventory.iter().map(waiting).collect(),
            interrupted: false,
            dropped: Vec::new(),
        }
    }

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
                ResourceState::Pending
                | ResourceState::Applying
                | ResourceState::Removing
                | ResourceState::Unknown => summary.pending += 1,
            }
        }
        summary
    }
}

impl Pass {
    /// Settles all parts that have no steps, or whose steps cannot have their turn. `inventory` is what
    /// we hold, with the very entries that the parts have.
    pub(super) fn new(parts: Vec<Part>, edges: Vec<Vec<Edge>>, inventory: Inventory) -> Self {
        let outcomes = parts.iter().map(|_| None).collect();
        let announced = parts.iter().map(|_| 0..0).collect();
        let order = Order::new(edges);
        let mut pass = Self {
            parts,
            order,
            open: Vec::new(),
            outcomes,
            inventory,
            dropped: Vec::new(),
            interrupted: false,
            announced,
            ended: Vec::new(),
        };
        for i in 0..pass.parts.len() {
            let part = &pass.parts[i];
            match &part.plan {
                PartPlan::Due(_) => pass.open.push(i),
                PartPlan::Settled { .. } if part.may_lack_dependencies() => pass.open.push(i),
                PartPlan::BackingOff(failing) => {
                    pass.close(i, part.still_failing(failing), part.entry.clone())
                }
                PartPlan::Settled { record, then } => {
                    let (mut outcome, record) = (part.settled(then.clone()), record.clone());
                    let entry = match then {
                        Standing::Failed(_) => part.entry.clone(),
                        Standing::Gone => record.map(|record| Arc::new(part.entry_with(record))),
                        Standing::Ready { .. } | Standing::Skipped { .. } | Standing::Pending { .. } => {
                            record.map(|record| part.entry_after(record, Effect::NONE, then))
                        }
                    };
                    outcome.count(entry.as_deref());
                    pass.close(i, outcome, entry);
                }
            }
        }
        pass.hold_back();
        while let Some(place) = pass.open.iter().position(|i| pass.lacks_nothing(*i)) {
            let i = pass.open.remove(place);
            let part = &pass.parts[i];
            if let PartPlan::Settled { then, .. } = &part.plan {
                pass.close(i, part.settled(then.clone()), part.entry.clone());
            }
            pass.hold_back();
        }
        pass
    }

    /// Whether that part was found to fail with all its dependencies there.
    fn lacks_nothing(&self, i: usize) -> bool {
        matches!(self.parts[i].plan, PartPlan::Settled { .. }) && self.order.turn(i) == Turn::Now
    }

    /// Leaves everything that has steps for a later pass.
    pub fn hold_all_back(&mut self, reason: &'static str, message: &str) {
        for i in std::mem::take(&mut self.open) {
            let part = &self.parts[i];
            let outcome = ResourceOutcome { attempt: Attempt::NotTried, ..part.held_back(reason, message) };
            self.close(i, outcome, part.entry.clone());
        }
    }

    /// Leaves the removal of these for a later pass, and what waits for it.
    pub fn hold_removals_back(&mut self, claims: &BTreeSet<Claim>, reason: &'static str, message: &str) {
        let is_held = |part: &Part| matches!(part.role, Role::Removed) && claims.contains(&part.claim);
        let (held, open) =
            std::mem::take(&mut self.open).into_iter().partition::<Vec<_>, _>(|i| is_held(&self.parts[*i]));
        self.open = open;
        for i in held {
            let part = &self.parts[i];
            self.close(i, part.held_back(reason, message), part.entry.clone());
        }
        self.hold_back();
    }

    /// Whether there are steps to do. If so, [`intents`](Self::intents) must be durable first.
    pub fn has_work(&self) -> bool {
        !self.open.is_empty()
    }

    /// What we hold, or may hold if the power is cut in the middle of the pass.
    pub fn intents(&self) -> Inventory {
        let mut inventory = self.inventory.clone();
        for part in self.open.iter().map(|i| &self.parts[*i]) {
            let entry = match &part.plan {
                PartPlan::Due(due) => part.entry_before(due),
                PartPlan::Settled { .. } | PartPlan::BackingOff(_) => part.entry.clone(),
            };
            inventory.extend(entry.map(|entry| (part.claim.clone(), entry)));
        }
        inventory
    }

    /// What is to be said of the pass before its steps are done: those are `state`.
    pub fn preview(&self, state: ResourceState, reason: &'static str, message: &str) -> PassOutcome {
        let resources = self.parts.iter().zip(&self.outcomes);
        let resources = resources.map(|(part, outcome)| match outcome {
            Some(outcome) => outcome.clone(),
            None => part.outcome(state, reason, message),
        });
        PassOutcome {
            inventory: self.intents(),
            resources: resources.filter(|outcome| !outcome.gone).collect(),
            interrupted: true,
            dropped: Vec::new(),
        }
    }

    /// All steps that are to be done, in the order of their numbers. What is announced ends in one way or
    /// another, and [`run`](Self::run) tells how.
    pub fn announce(&mut self) -> Vec<AnnouncedStep> {
        let mut steps = Vec::new();
        for i in &self.open {
            let part = &self.parts[*i];
            let PartPlan::Due(due) = &part.plan else { continue };
            let first = steps.len();
            let resource =
                ResourceRef { kind: part.claim.kind().as_str().to_owned(), name: part.name.to_string() };
            let announced = due.work.summaries().into_iter();
            steps.extend(announced.map(|summary| AnnouncedStep { resource: resource.clone(), summary }));
            self.announced[*i] = first..steps.len();
        }
        steps
    }

    /// Carries the plans out. Independent parts run at the same time, a bound on how many; parts
    /// that have not begun when `superseded` says so are left for the next pass.
    pub async fn run(mut self, superseded: impl Fn() -> bool, mut witness: impl Witness) -> PassOutcome {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < MAX_AT_ONCE
                && let Some((part, work)) = self.next(&superseded)
            {
                under_way.push(do_step(part, work, 0));
            }
            self.tell(&mut witness);
            match under_way.next().await {
                Some(done) => {
                    let next = self.note_end(done);
                    under_way.extend(next.map(|(part, work, step)| do_step(part, work, step)));
                }
                None if self.open.is_empty() => break,
                None => self.break_cycle(),
            }
        }
        self.outcome()
    }

    /// Tells of the steps that ended.
    fn tell(&mut self, witness: &mut impl Witness) {
        for (step, end) in self.ended.drain(..) {
            witness.ended(step, end);
            crash_point();
        }
    }

    /// Notes how a step ended. Gives the next one of its part, unless the part is over.
    fn note_end(&mut self, done: DoneStep) -> Option<(usize, Arc<dyn Work>, usize)> {
        let DoneStep { part: i, work, step, took, result } = done;
        let is_last = work.effect_of(step + 1).is_none();
        let end = match &result {
            Ok(()) => {
                let effect = work.effect_of(step).unwrap_or(Effect::NONE);
                StepEnd::Done { effect: self.parts[i].effect_of_step(effect, is_last), took }
            }
            Err(failure) => StepEnd::Failed { failure: failure.clone(), took },
        };
        self.ended.extend(self.announced[i].next().map(|number| (number, end)));
        match result {
            Ok(()) if !is_last => Some((i, work, step + 1)),
            result => {
                self.finish(i, work.effect(), result);
                None
            }
        }
    }

    /// The next part whose steps may begin, if there is one.
    fn next(&mut self, superseded: impl Fn() -> bool) -> Option<(usize, Arc<dyn Work>)> {
        loop {
            self.hold_back();
            let place = self.open.iter().position(|i| self.order.turn(*i) == Turn::Now)?;
            let i = self.open.remove(place);
            let part = &self.parts[i];
            if superseded() {
                self.interrupted = true;
                let outcome = part.held_back(
                    "Superseded",
                    "a newer document, a pause or the end of its time came in between",
                );
                self.close(i, outcome, part.entry.clone());
            } else if let PartPlan::Due(due) = &part.plan {
                return Some((i, Arc::clone(&due.work)));
            } else {
                // It was looked at before its dependencies were there.
                self.interrupted = true;
                let outcome = part
                    .held_back("DependencyNotReady", "is looked at again: what it waits for is there now");
                self.close(i, outcome, part.entry.clone());
            }
        }
    }

    /// Gives up the parts that can never have their turn, because what they need did not come out
    /// well.
    fn hold_back(&mut self) {
        while let Some((place, because_of)) =
            self.open.iter().enumerate().find_map(|(place, i)| match self.order.turn(*i) {
                Turn::Never { because_of } => Some((place, because_of)),
                Turn::Now | Turn::Later => None,
            })
        {
            let i = self.open.remove(place);
            let (part, needed) = (&self.parts[i], &self.parts[because_of]);
            let state = self.outcomes[because_of].as_ref().map(|outcome| outcome.state);
            let how = if state == Some(ResourceState::Failed) { "is failing" } else { "is not ready" };
            let message = format!("waits for {:?}, which {how}", needed.name.as_str());
            self.close(i, part.held_back("DependencyNotReady", message), part.entry.clone());
        }
    }

    /// Notes how a part's steps came out.
    fn finish(&mut self, i: usize, effect: Effect, result: Result<(), Failure>) {
        let part = &self.parts[i];
        let PartPlan::Due(due) = &part.plan else { return };
        let (outcome, entry) = match result {
            Err(failure) => (part.failed(Stage::Applying, failure), part.entry_before(due)),
            Ok(()) => {
                let entry = due.record.clone().map(|record| part.entry_after(record, effect, &due.then));
                let mut outcome = part.settled(due.then.clone());
                outcome.count(entry.as_deref());
                if effect.alters && !effect.restarts && part.is_repair() {
                    outcome.attempt = Attempt::Repaired;
                }
                (outcome, entry)
            }
        };
        self.close(i, outcome, entry);
    }

    fn close(&mut self, i: usize, outcome: ResourceOutcome, entry: Option<Arc<InventoryEntry>>) {
        let not_run = match outcome.state {
            ResourceState::Failed => "EarlierStepFailed".into(),
            _ => outcome.reason.clone(),
        };
        let left = std::mem::take(&mut self.announced[i]);
        self.ended.extend(left.map(|step| (step, StepEnd::NotRun { reason: not_run.clone() })));
        let well_done = matches!(outcome.state, ResourceState::Ready | ResourceState::Skipped);
        self.order.over(i, well_done);
        self.outcomes[i] = Some(outcome);
        let part = &self.parts[i];
        if entry == part.entry {
            return;
        }
        let record = part.entry.as_ref().map(|entry| &entry.record);
        let replaced = record.filter(|record| entry.as_ref().is_none_or(|entry| entry.record != **record));
        self.dropped.extend(replaced.map(|record| (part.claim.kind(), record.clone())));
        match entry {
            Some(entry) => self.inventory.insert(part.claim.clone(), entry),
            None => self.inventory.remove(&part.claim),
        };
    }

    /// What two documents left behind, each half applied, may depend on one another in a circle:
    /// then one of them goes first.
    fn break_cycle(&mut self) {
        if let Some(first) = self.open.first() {
            self.order.free(*first);
        }
    }

    fn outcome(self) -> PassOutcome {
        let Self { outcomes, inventory, dropped, interrupted, .. } = self;
        // `filter_map` and no `flatten`, as that keeps the memory that they are in.
        let left = |outcome: Option<ResourceOutcome>| outcome.filter(|outcome| !outcome.gone);
        let resources = outcomes.into_iter().filter_map(left).collect();
        PassOutcome { inventory, resources, interrupted, dropped }
    }
}

/// A step that ended.
struct DoneStep {
    part: usize,
    work: Arc<dyn Work>,
    step: usize,
    took: Duration,
    result: Result<(), Failure>,
}

async fn do_step(part: usize, work: Arc<dyn Work>, step: usize) -> DoneStep {
    let begun = Instant::now();
    let result = work.apply(step).await;
    DoneStep { part, work, step, took: begun.elapsed(), result }
}
