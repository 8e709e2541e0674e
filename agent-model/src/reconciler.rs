//! The seam between the executor and one kind of resource.

use std::{future::Future, sync::Arc};

use futures_core::Stream;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Claim, Digest, Failure, Plan, ResourceKind, ResourceName, ResourceSpec, Step};

/// Makes one kind of resource as declared, and keeps it so.
///
/// The executor calls `observe` for all claims of the kind, `plan` for each, makes the intents
/// durable, and then calls `apply` step by step. All deciding happens in `plan`, which sees
/// nothing but its arguments; `observe` and `apply` decide nothing. Each kind has types of its
/// own; the registry erases them, once.
pub trait Reconciler: Send + Sync + 'static {
    /// What a document declares.
    type Spec: Send + Sync + 'static;
    /// What the ledger remembers for a claim, so that it can be undone.
    type Record: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static;
    /// What was found on the device.
    type Observation: Send + Sync + 'static;
    /// One action.
    type Step: Step + 'static;

    /// The kind of resource.
    const KIND: ResourceKind;

    /// The spec of this kind in `spec`, if it is of this kind.
    fn spec_of(spec: &ResourceSpec) -> Option<Arc<Self::Spec>>;

    /// What carries our mark on the device itself, whatever the ledger remembers: with what name, and a
    /// record of what can be told from the mark. So a lost ledger leaves nothing running that nobody
    /// wants any more. Kinds that cannot mark what they make have nothing to tell.
    fn marked(&self) -> impl Future<Output = Vec<(Claim, ResourceName, Self::Record)>> + Send {
        std::future::ready(Vec::new())
    }

    /// The ledger was lost or damaged, and with it what it remembered of this kind. Told before the first pass that
    /// follows, for those who must not take what they do not know of for something that never was.
    fn ledger_was_lost(&self) {}

    /// Reads what is there, for each target in its place; an error stands for that target alone.
    /// `targets` are always *all* claims of this kind, declared and recorded, so that what they
    /// share can be seen; only what the device's policy denies is nobody's to look at. Also the moment to watch what will wake us.
    fn observe(
        &self,
        targets: &[Target<Self::Spec, Self::Record>],
    ) -> impl Future<Output = Vec<Result<Self::Observation, Failure>>> + Send;

    /// Decides. Pure: equal arguments give equal plans.
    fn plan(
        target: &Target<Self::Spec, Self::Record>,
        observed: &Self::Observation,
    ) -> Plan<Self::Step, Self::Record>;

    /// Does one step. It must be safe to do again after a crash in its middle.
    fn apply(
        &self,
        target: &Target<Self::Spec, Self::Record>,
        step: &Self::Step,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Lets go of what was kept for records that were forgotten or replaced, unless one of `kept`
    /// needs it too. Called once the ledger has durably forgotten them; a power cut before that
    /// means that it is not called for them at all.
    fn release(&self, dropped: &[Self::Record], kept: &[Self::Record]) -> impl Future<Output = ()> + Send;

    /// The last lines that what runs, or ran, for this very declaration has written, the oldest first; `None` of a kind
    /// that writes none, and where they cannot be had. Some twenty are enough. They leave the device: values of the
    /// declaration that may be secret must not stand in them. `target` has no record.
    fn log_tail(
        &self,
        target: &Target<Self::Spec, Self::Record>,
    ) -> impl Future<Output = Option<String>> + Send {
        let _ = target;
        std::future::ready(None)
    }

    /// A claim each time something happened to it that nobody here did. Never ends; called once.
    fn wakes(&self) -> impl Stream<Item = Claim> + Send + 'static;
}

/// One claim of a pass: what should become of it, and what is known of it.
#[derive(Debug)]
pub struct Target<S, R> {
    /// What it is about.
    pub claim: Claim,
    /// What should become of it.
    pub goal: Goal<S>,
    /// What the ledger remembers; `None` for a claim that was never acted on.
    pub record: Option<R>,
}

impl<S, R: Clone> Clone for Target<S, R> {
    fn clone(&self) -> Self {
        Self { claim: self.claim.clone(), goal: self.goal.clone(), record: self.record.clone() }
    }
}

/// What should become of a claim.
#[derive(Debug)]
pub enum Goal<S> {
    /// It should be as declared.
    Present {
        /// The declaration.
        spec: Arc<S>,
        /// Its effective digest: what runs and carries another one is replaced.
        digest: Digest,
    },
    /// It is declared no longer: undo what we did.
    Absent,
}

impl<S> Clone for Goal<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Present { spec, digest } => Self::Present { spec: Arc::clone(spec), digest: *digest },
            Self::Absent => Self::Absent,
        }
    }
}
