//! The kinds of resource that this agent can make: the only list of them, and the only place
//! where their types are erased.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agent_model::{
    Claim, Conclusion, Digest, Failure, Goal, Plan, Reconciler, ResourceKind, ResourceName, ResourceSpec,
    Standing, Step, Target,
};
use async_trait::async_trait;
use crash_point::{crash_point, crash_point_at};
use futures_util::{
    StreamExt,
    stream::{BoxStream, SelectAll},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ledger::UntypedRecord;

/// The reconcilers, by kind.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<ResourceKind, Arc<dyn ErasedReconciler>>);

/// Takes each plan as it is made, with the place of the claim that it is for.
type Take<'a> = dyn FnMut(usize, Prepared) + Send + 'a;

/// Claims to be planned for, by kind, each with its place.
#[derive(Default)]
pub(super) struct Requests<'a>(BTreeMap<ResourceKind, Vec<(usize, Request<'a>)>>);

/// A claim to be planned for, with everything still untyped.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) claim: &'a Claim,
    pub(super) wanted: Wanted<'a>,
    pub(super) record: Option<&'a UntypedRecord>,
}

/// What should become of a claim.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    Present { spec: &'a ResourceSpec, digest: Digest },
    Absent,
}

/// A plan, with everything untyped again but the work itself.
pub(super) struct Prepared {
    pub(super) intent: Option<UntypedRecord>,
    pub(super) record: Option<UntypedRecord>,
    pub(super) then: Standing,
    /// The steps; `None` when there are none.
    pub(super) work: Option<Box<dyn Work>>,
}

/// What the steps of one plan do to the target itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effect {
    /// Whether any of them alters it.
    pub(super) alters: bool,
    /// Whether any of them starts it again.
    pub(super) restarts: bool,
    /// What the last of them that notes how something came out says.
    pub(super) concludes: Option<Conclusion>,
}

impl Effect {
    /// That of no steps.
    pub(super) const NONE: Self = Self { alters: false, restarts: false, concludes: None };

    /// Whether what runs again is not what is declared but what was there before it.
    pub(super) fn brings_back(self) -> bool {
        self.restarts && !self.alters
    }
}

/// The steps of one plan, ready to be done.
#[async_trait]
pub(super) trait Work: Send + Sync {
    /// What the steps do to the target, all together.
    fn effect(&self) -> Effect;

    /// What each step is.
    fn summaries(&self) -> Vec<String>;

    /// What one step does to the target; `None` after the last.
    fn effect_of(&self, step: usize) -> Option<Effect>;

    /// Does one step. They are done in order, up to the first that fails.
    async fn apply(&self, step: usize) -> Result<(), Failure>;
}

#[async_trait]
trait ErasedReconciler: Send + Sync {
    async fn prepare(self: Arc<Self>, requests: Vec<(usize, Request<'_>)>, take: &mut Take<'_>);
    async fn release(&self, dropped: Vec<UntypedRecord>, kept: Vec<UntypedRecord>);
    async fn log_tail(&self, of: Request<'_>) -> Option<String>;
    async fn marked(&self) -> Vec<(Claim, ResourceName, UntypedRecord)>;
    fn ledger_was_lost(&self);
    fn wakes(&self) -> BoxStream<'static, Claim>;
}

impl<'a> Requests<'a> {
    /// Adds one.
    pub(super) fn ask(&mut self, place: usize, request: Request<'a>) {
        self.0.entry(request.claim.kind()).or_default().push((place, request));
    }
}

impl Registry {
    /// No kind at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// These and one more.
    #[must_use]
    pub fn with<R: Reconciler>(mut self, reconciler: R) -> Self {
        self.0.insert(R::KIND, Arc::new(Erased { reconciler, last: Mutex::default() }));
        self
    }

    /// The kinds, for the status and for judging documents.
    pub fn kinds(&self) -> impl Iterator<Item = ResourceKind> {
        self.0.keys().copied()
    }

    /// What carries our mark on the device itself.
    pub async fn marked(&self) -> Vec<(Claim, ResourceName, UntypedRecord)> {
        let mut marked = Vec::new();
        for reconciler in self.0.values() {
            marked.extend(reconciler.marked().await);
        }
        marked
    }

    /// The last lines that what runs for this has written; `None` where there are none, or they cannot be had.
    pub(super) async fn log_tail(&self, of: Request<'_>) -> Option<String> {
        self.0.get(&of.claim.kind())?.log_tail(of).await
    }

    /// Tells all that the ledger was lost.
    pub(super) fn ledger_was_lost(&self) {
        self.0.values().for_each(|reconciler| reconciler.ledger_was_lost());
    }

    /// What happens to claims without our doing. Call once.
    pub fn wakes(&self) -> SelectAll<BoxStream<'static, Claim>> {
        self.0.values().map(|reconciler| reconciler.wakes()).collect()
    }

    /// Plans for all claims, kind by kind. `take` gets one plan for each.
    pub(super) async fn prepare(&self, requests: Requests<'_>, take: &mut Take<'_>) {
        let Requests(mut by_kind) = requests;
        // Also kinds without any claim are asked, so that they can stop watching for wakes.
        for (kind, reconciler) in &self.0 {
            let requests = by_kind.remove(kind).unwrap_or_default();
            Arc::clone(reconciler).prepare(requests, take).await;
        }
        for (kind, requests) in by_kind {
            for (place, request) in requests {
                let failure =
                    Failure::lasting("NoReconciler", format!("this agent has no reconciler for {kind}"));
                take(place, Prepared::blocked(request.record.cloned(), failure));
            }
        }
    }

    /// Lets go of what was kept for records that are about to be forgotten.
    pub(super) async fn release(
        &self,
        dropped: Vec<(ResourceKind, UntypedRecord)>,
        kept: &[(ResourceKind, UntypedRecord)],
    ) {
        let of = |kind: ResourceKind, records: &[(ResourceKind, UntypedRecord)]| {
            records.iter().filter(|(of, _)| *of == kind).map(|(_, record)| record.clone()).collect::<Vec<_>>()
        };
        for (kind, reconciler) in &self.0 {
            let dropped = of(*kind, &dropped);
            if !dropped.is_empty() {
                reconciler.release(dropped, of(*kind, kept)).await;
            }
        }
    }
}

impl Prepared {
    /// What was made before stays as it is.
    pub(super) fn blocked(record: Option<UntypedRecord>, failure: Failure) -> Self {
        Self { intent: record.clone(), record, then: Standing::Failed(failure), work: None }
    }

    fn unanswered() -> Self {
        Self::blocked(None, Failure::passing("NoPlan", "the reconciler gave no answer; this is a defect"))
    }
}

struct Erased<R: Reconciler> {
    reconciler: R,
    /// Those of the last pass. Records come from the ledger as JSON, and most are the same in every pass:
    /// those are not read again.
    last: Mutex<Known<R>>,
}

/// The targets of a pass, and beside each its record as the ledger has it.
struct Known<R: Reconciler> {
    targets: Vec<Target<R::Spec, R::Record>>,
    recorded: Vec<Option<UntypedRecord>>,
}

struct TypedWork<R: Reconciler> {
    reconciler: Arc<Erased<R>>,
    target: Target<R::Spec, R::Record>,
    steps: Vec<R::Step>,
}

#[async_trait]
impl<R: Reconciler> Work for TypedWork<R> {
    fn effect(&self) -> Effect {
        Effect {
            alters: self.steps.iter().any(Step::alters_target),
            restarts: self.steps.iter().any(Step::restarts_target),
            concludes: self.steps.iter().filter_map(Step::concludes).next_back(),
        }
    }

    fn summaries(&self) -> Vec<String> {
        self.steps.iter().map(Step::summary).collect()
    }

    fn effect_of(&self, step: usize) -> Option<Effect> {
        let step = self.steps.get(step)?;
        Some(Effect {
            alters: step.alters_target(),
            restarts: step.restarts_target(),
            concludes: step.concludes(),
        })
    }

    async fn apply(&self, step: usize) -> Result<(), Failure> {
        let Some(step) = self.steps.get(step) else { return Ok(()) };
        crash_point();
        if let Goal::Present { .. } = self.target.goal {
            crash_point_at(format_args!("apply {}", self.target.claim));
        }
        tracing::info!(claim = %self.target.claim, step = step.summary(), "applying");
        self.reconciler.reconciler.apply(&self.target, step).await
    }
}

impl<R: Reconciler> Erased<R> {
    fn lock_last(&self) -> MutexGuard<'_, Known<R>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Reconciler> Default for Known<R> {
    fn default() -> Self {
        Self { targets: Vec::new(), recorded: Vec::new() }
    }
}

impl<R: Reconciler> Known<R> {
    /// Whether the target at that place is what the request asks about: the same spec wanted of the same claim,
    /// and the very record that it was read from.
    fn is_asked_for(&self, at: usize, request: Request<'_>) -> bool {
        let (Some(target), Some(recorded)) = (self.targets.get(at), self.recorded.get(at)) else {
            return false;
        };
        let same_goal = match (&target.goal, request.wanted) {
            (Goal::Absent, Wanted::Absent) => true,
            (Goal::Present { spec, digest }, Wanted::Present { spec: wanted, digest: wanted_digest }) => {
                *digest == wanted_digest
                    && R::spec_of(wanted).is_some_and(|wanted| Arc::ptr_eq(spec, &wanted))
            }
            (Goal::Absent | Goal::Present { .. }, _) => false,
        };
        let same_record = match (recorded, request.record) {
            (Some(known), Some(asked)) => Arc::ptr_eq(known, asked),
            (known, asked) => known.is_none() && asked.is_none(),
        };
        same_goal && same_record && target.claim == *request.claim
    }

    /// Has another target at that place, or at the end.
    fn put(&mut self, at: usize, target: Target<R::Spec, R::Record>, recorded: Option<UntypedRecord>) {
        if at < self.targets.len() {
            (self.targets[at], self.recorded[at]) = (target, recorded);
        } else {
            self.targets.push(target);
            self.recorded.push(recorded);
        }
    }

    /// Forgets all targets but so many, and does not keep the room of a document that was much larger.
    fn truncate(&mut self, count: usize) {
        self.targets.truncate(count);
        self.targets.shrink_to(2 * count);
        self.recorded.truncate(count);
        self.recorded.shrink_to(2 * count);
    }
}

#[async_trait]
impl<R: Reconciler> ErasedReconciler for Erased<R> {
    async fn prepare(self: Arc<Self>, requests: Vec<(usize, Request<'_>)>, take: &mut Take<'_>) {
        let mut known = std::mem::take(&mut *self.lock_last());
        let mut places = Vec::with_capacity(requests.len());
        for (place, request) in requests {
            if let Wanted::Present { .. } = request.wanted {
                crash_point_at(format_args!("observe {}", request.claim));
            }
            if !known.is_asked_for(places.len(), request) {
                match typed::<R>(request) {
                    Ok(target) => known.put(places.len(), target, request.record.cloned()),
                    Err(failure) => {
                        take(place, Prepared::blocked(request.record.cloned(), failure));
                        continue;
                    }
                }
            }
            places.push(place);
        }
        known.truncate(places.len());
        let mut observations = self.reconciler.observe(&known.targets).await.into_iter();
        for (place, (target, recorded)) in places.into_iter().zip(known.targets.iter().zip(&known.recorded)) {
            let prepared = match observations.next() {
                None => Prepared::unanswered(),
                Some(Err(failure)) => Prepared::blocked(recorded.clone(), failure),
                Some(Ok(observed)) => erase(&self, target, R::plan(target, &observed), recorded.as_ref()),
            };
            take(place, prepared);
        }
        *self.lock_last() = known;
    }

    async fn release(&self, dropped: Vec<UntypedRecord>, kept: Vec<UntypedRecord>) {
        let typed = |records: Vec<UntypedRecord>| -> Result<Vec<R::Record>, serde_json::Error> {
            records.iter().map(|record| R::Record::deserialize(&**record)).collect()
        };
        // What cannot be read might need what would be let go of: then nothing is.
        if let (Ok(dropped), Ok(kept)) = (typed(dropped), typed(kept)) {
            self.reconciler.release(&dropped, &kept).await;
        }
    }

    async fn log_tail(&self, of: Request<'_>) -> Option<String> {
        self.reconciler.log_tail(&typed::<R>(of).ok()?).await
    }

    async fn marked(&self) -> Vec<(Claim, ResourceName, UntypedRecord)> {
        let untyped =
            |(claim, name, record)| Some((claim, name, Arc::new(serde_json::to_value(record).ok()?)));
        self.reconciler.marked().await.into_iter().filter_map(untyped).collect()
    }

    fn ledger_was_lost(&self) {
        self.reconciler.ledger_was_lost();
    }

    fn wakes(&self) -> BoxStream<'static, Claim> {
        self.reconciler.wakes().boxed()
    }
}

fn typed<R: Reconciler>(request: Request<'_>) -> Result<Target<R::Spec, R::Record>, Failure> {
    let record = match request.record.map(|record| R::Record::deserialize(&**record)).transpose() {
        Ok(record) => record,
        Err(error) => {
            return Err(Failure::lasting(
                "RecordUnreadable",
                format!("what the ledger remembers of {} cannot be read: {error}", request.claim),
            ));
        }
    };
    let goal = match request.wanted {
        Wanted::Absent => Goal::Absent,
        Wanted::Present { spec, digest } => match R::spec_of(spec) {
            Some(spec) => Goal::Present { spec, digest },
            None => {
                let message = format!("{} is not of the kind {}; this is a defect", request.claim, R::KIND);
                return Err(Failure::lasting("WrongKind", message));
            }
        },
    };
    Ok(Target { claim: request.claim.clone(), goal, record })
}

fn erase<R: Reconciler>(
    reconciler: &Arc<Erased<R>>,
    target: &Target<R::Spec, R::Record>,
    plan: Plan<R::Step, R::Record>,
    recorded: Option<&UntypedRecord>,
) -> Prepared {
    let Plan { intent, steps, record, then } = plan;
    // A no-op pass over a thousand claims should not write a thousand records out.
    let value = |typed: &Option<R::Record>| match typed {
        same if *same == target.record => recorded.cloned(),
        Some(typed) => written(typed, target.record.as_ref(), recorded).ok().map(Arc::new),
        None => None,
    };
    let (intent, record) = (value(&intent), value(&record));
    let work = |steps| -> Box<dyn Work> {
        Box::new(TypedWork { reconciler: Arc::clone(reconciler), target: target.clone(), steps })
    };
    let work = Some(steps).filter(|steps| !steps.is_empty()).map(work);
    Prepared { intent, record, then, work }
}

/// The record in the form in which it is stored, with what a newer version of its reconciler noted beside what this one
/// knows: the keys of what is `recorded` that are not in what this version read in it.
fn written<R: Serialize>(
    record: &R,
    read: Option<&R>,
    recorded: Option<&UntypedRecord>,
) -> serde_json::Result<Value> {
    let mut written = serde_json::to_value(record)?;
    if let (Value::Object(written), Some(Value::Object(recorded))) = (&mut written, recorded.map(|it| &**it))
        && let Value::Object(known) = serde_json::to_value(read)?
    {
        for (key, value) in recorded.iter().filter(|(key, _)| !known.contains_key(*key)) {
            written.entry(key).or_insert_with(|| value.clone());
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
