//! One claim of a pass: its plan, and how it came out.

use std::{borrow::Cow, sync::Arc};

use agent_model::{Claim, Digest, Failure, ResourceName, Retry, Standing, Timestamp, status::ResourceState};

use super::{
    declared::DeclaredResource,
    failing::{Failing, Stage},
    registry::{Effect, Prepared, Work},
    witness::StepEffect,
};
use crate::ledger::{Dependencies, InventoryEntry, UntypedRecord};

/// One claim of a pass.
pub(super) struct Part {
    pub(super) claim: Claim,
    pub(super) role: Role,
    pub(super) name: ResourceName,
    depends_on: Vec<Claim>,
    pub(super) entry: Option<Arc<InventoryEntry>>,
    pub(super) plan: PartPlan,
}

/// What a claim is to the document.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Declared { spec_digest: Digest, wanted: Digest },
    Removed,
}

/// What is to be done about a claim.
pub(super) enum PartPlan {
    /// Nothing is to be done.
    Settled { record: Option<UntypedRecord>, then: Standing },
    /// There are steps to be done.
    Due(Due),
    /// There are steps to be done, but not yet.
    BackingOff(Box<Failing>),
}

/// Steps to be done, and what must be remembered before and after them.
pub(super) struct Due {
    pub(super) intent: Option<UntypedRecord>,
    pub(super) record: Option<UntypedRecord>,
    pub(super) then: Standing,
    pub(super) work: Arc<dyn Work>,
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
    pub reason: Cow<'static, str>,
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
    pub(super) attempt: Attempt,
    /// It was removed, and nothing is left to be said about it.
    pub(super) gone: bool,
}

impl ResourceOutcome {
    /// How a claim stands that nobody can say anything about: it waits, and is left as it is.
    pub(super) fn left_alone(
        claim: Claim,
        entry: &InventoryEntry,
        reason: &'static str,
        message: &str,
    ) -> Self {
        let mut outcome = Self {
            claim,
            name: entry.name.clone(),
            spec_digest: None,
            state: ResourceState::Pending,
            reason: reason.into(),
            message: message.to_owned(),
            details: serde_json::Value::Null,
            changes: 0,
            drift_corrections: 0,
            restarts: 0,
            attempts: 0,
            next_retry: None,
            wanted: None,
            attempt: Attempt::HeldBack,
            gone: false,
        };
        outcome.count(Some(entry));
        outcome
    }

    /// Takes over the counts of the inventory's entry.
    pub(super) fn count(&mut self, entry: Option<&InventoryEntry>) {
        if let Some(entry) = entry {
            (self.changes, self.drift_corrections) = (entry.changes, entry.drift_corrections);
            self.restarts = entry.restarts;
        }
    }
}

/// What the pass means for when a resource is tried again.
#[derive(Debug, Clone)]
pub(super) enum Attempt {
    /// Nothing failed.
    Fine,
    /// It altered something back that somebody else had altered.
    Repaired,
    /// It did not have its turn, because of another resource or document. When it has, it is not
    /// the resource that failed before.
    HeldBack,
    /// It was not tried; if it failed before, that stands.
    NotTried,
    /// It failed. Boxed, because few do, and a pass has an outcome for each resource.
    Failed(Stage, Box<Failure>),
}

impl PartPlan {
    /// Before there is one: what is held stays as it is.
    fn not_made(entry: Option<&Arc<InventoryEntry>>) -> Self {
        let then = Standing::pending("NotPlanned", "");
        Self::Settled { record: entry.map(|entry| Arc::clone(&entry.record)), then }
    }
}

impl Part {
    pub(super) fn declared(
        resource: &DeclaredResource,
        wanted: Digest,
        entry: Option<&Arc<InventoryEntry>>,
    ) -> Self {
        Self {
            claim: resource.claim.clone(),
            role: Role::Declared { spec_digest: resource.spec_digest, wanted },
            name: resource.name.clone(),
            depends_on: resource.depends_on.clone(),
            entry: entry.cloned(),
            plan: PartPlan::not_made(entry),
        }
    }

    pub(super) fn removed(claim: Claim, entry: Arc<InventoryEntry>) -> Self {
        let (name, depends_on) = (entry.name.clone(), entry.depends_on.known.clone());
        Self {
            claim,
            role: Role::Removed,
            name,
            depends_on,
            plan: PartPlan::not_made(Some(&entry)),
            entry: Some(entry),
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

    /// The inventory's entry with this record.
    pub(super) fn entry_with(&self, record: UntypedRecord) -> InventoryEntry {
        let entry = self.entry.as_deref();
        InventoryEntry {
            name: self.name.clone(),
            depends_on: Dependencies {
                known: self.depends_on.clone(),
                unknown: entry.map(|entry| entry.depends_on.unknown.clone()).unwrap_or_default(),
            },
            record,
            applied_digest: entry.and_then(|entry| entry.applied_digest),
            altering: None,
            restarting: false,
            changes: entry.map_or(0, |entry| entry.changes),
            drift_corrections: entry.map_or(0, |entry| entry.drift_corrections),
            restarts: entry.map_or(0, |entry| entry.restarts),
            unknown: entry.map(|entry| entry.unknown.clone()).unwrap_or_default(),
        }
    }

    /// The inventory's entry while the steps are under way. Once steps alter the target for
    /// something else, nothing is fully applied any more.
    pub(super) fn entry_before(&self, due: &Due) -> Option<Arc<InventoryEntry>> {
        let Some(intent) = &due.intent else { return self.entry.clone() };
        let entry = self.entry_with(intent.clone());
        let Effect { alters, restarts, concludes: _ } = due.work.effect();
        if !alters {
            return Some(self.shared(entry));
        }
        let applied_digest = entry.applied_digest.filter(|_| self.is_repair());
        let altering = self.wanted();
        Some(self.shared(InventoryEntry { altering, restarting: restarts, applied_digest, ..entry }))
    }

    /// The inventory's entry once the steps are done. If they altered the target, they restarted
    /// it, or repaired it if the same was applied before; what was not applied before is a change in any
    /// case. It does not matter whether they were this pass's or those of one that the power cut ended.
    /// When what was there before was brought back, whatever was begun came to nothing but the restart.
    pub(super) fn entry_after(
        &self,
        record: UntypedRecord,
        done: Effect,
        then: &Standing,
    ) -> Arc<InventoryEntry> {
        let mut entry = self.entry_with(record);
        if done.brings_back() {
            entry.restarts += 1;
            entry.applied_digest = None;
            return self.shared(entry);
        }
        let cut_off = self.entry.as_ref().filter(|entry| entry.altering.is_some());
        let cut_off = cut_off.filter(|entry| entry.altering == self.wanted());
        let altered = done.alters || cut_off.is_some();
        let restarted = done.restarts || cut_off.is_some_and(|entry| entry.restarting);
        entry.restarts += u64::from(restarted);
        match (altered, self.is_repair()) {
            (true, true) => entry.drift_corrections += u64::from(!restarted),
            (true, false) => entry.changes += 1,
            (false, _) => {}
        }
        // Nothing is applied by waiting, as for the end of what runs, nor by noting that it has failed.
        if altered || !matches!(then, Standing::Pending { .. } | Standing::Failed(_)) {
            entry.applied_digest = self.wanted();
        }
        self.shared(entry)
    }

    /// That entry; the very one that we hold, where it says the same.
    fn shared(&self, entry: InventoryEntry) -> Arc<InventoryEntry> {
        match &self.entry {
            Some(held) if **held == entry => Arc::clone(held),
            _ => Arc::new(entry),
        }
    }

    /// Whether altering the target would bring back what was fully applied before.
    pub(super) fn is_repair(&self) -> bool {
        self.wanted().is_some() && self.entry.as_ref().and_then(|entry| entry.applied_digest) == self.wanted()
    }

    /// Whether a look found something in the way of what was never there yet, which may be no more than that its
    /// dependencies were not there either.
    pub(super) fn may_lack_dependencies(&self) -> bool {
        let Role::Declared { .. } = self.role else { return false };
        let PartPlan::Settled { then: Standing::Failed(failure), .. } = &self.plan else { return false };
        failure.retry == Retry::WithBackoff && !self.is_repair()
    }

    /// What one of its steps came to that does `effect` to the target. Whatever the last step of a removal
    /// is, only then nothing is left.
    pub(super) fn effect_of_step(&self, effect: Effect, is_last: bool) -> StepEffect {
        if let Some(conclusion) = effect.concludes {
            return StepEffect::Concluded(conclusion);
        }
        match (self.role, &self.plan) {
            (Role::Removed, PartPlan::Due(Due { then: Standing::Gone, .. })) if is_last => {
                StepEffect::Removed
            }
            (Role::Removed, _) => StepEffect::Auxiliary,
            _ if effect.restarts => StepEffect::Restarted,
            _ if !effect.alters => StepEffect::Auxiliary,
            _ if self.is_repair() => StepEffect::Repaired,
            _ => StepEffect::Changed,
        }
    }

    pub(super) fn outcome(
        &self,
        state: ResourceState,
        reason: impl Into<Cow<'static, str>>,
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
            attempt: Attempt::Fine,
            gone: false,
        }
    }

    pub(super) fn held_back(&self, reason: &'static str, message: impl Into<String>) -> ResourceOutcome {
        ResourceOutcome {
            attempt: Attempt::HeldBack,
            ..self.outcome(ResourceState::Pending, reason, message)
        }
    }

    pub(super) fn failed(&self, stage: Stage, failure: Failure) -> ResourceOutcome {
        let mut outcome =
            self.outcome(ResourceState::Failed, failure.reason.clone(), failure.message.clone());
        outcome.details = failure.details.clone();
        outcome.attempt = Attempt::Failed(stage, Box::new(failure));
        outcome
    }

    /// How it stands when there is nothing (more) to do for it.
    pub(super) fn settled(&self, then: Standing) -> ResourceOutcome {
        match then {
            Standing::Ready { reason, message, details } => {
                ResourceOutcome { details, ..self.outcome(ResourceState::Ready, reason, message) }
            }
            Standing::Skipped { reason, message, details } => {
                ResourceOutcome { details, ..self.outcome(ResourceState::Skipped, reason, message) }
            }
            Standing::Pending { reason, message } => self.outcome(ResourceState::Pending, reason, message),
            Standing::Failed(failure) => self.failed(Stage::Planning, failure),
            Standing::Gone => {
                ResourceOutcome { gone: true, ..self.outcome(ResourceState::Ready, "Gone", "") }
            }
        }
    }

    /// What failed before and is too early to be tried again.
    pub(super) fn still_failing(&self, failing: &Failing) -> ResourceOutcome {
        let failure = &failing.failure;
        ResourceOutcome {
            attempts: failing.attempts,
            next_retry: failing.next.map(|(_, wall)| wall),
            attempt: Attempt::NotTried,
            details: failure.details.clone(),
            ..self.outcome(ResourceState::Failed, failure.reason.clone(), failure.message.clone())
        }
    }
}

#[cfg(test)]
mod tests;
