//! Building the status document from what the runtime knows. Pure.

use std::collections::HashMap;

use agent_model::{
    AgentId, Generation, Timestamp,
    status::{
        API_VERSION, Accepted, AgentInfo, AgentStatus, Applied, Condition, ConditionStatus, ConditionType,
        Desired, KIND, Phase, ResourceState, ResourceStatus, SCHEMA_VERSION, Summary, Writer,
    },
};

use crate::{
    envelope::Refusal,
    executor::{PassOutcome, ResourceOutcome},
    ledger::{AcceptedDocument, KIND_UNKNOWN, LedgerBody, StoreFailure},
    pause::Pause,
    safe_mode::SafeMode,
};

/// What is known of the device's entry in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SeenEntry {
    /// Nothing yet: it was not read since the start.
    #[default]
    Unread,
    /// There is none.
    None,
    /// There is one.
    Entry(Desired),
}

/// What became of the newest entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Judgement {
    /// It was not judged yet.
    #[default]
    NotYet,
    /// There is no entry to judge.
    NoEntry,
    /// It is in force.
    Accepted {
        /// JSON pointers of keys that were left out, because they belong to a newer schema.
        ignored: Vec<String>,
        /// Whether it may be over, which the device's clock cannot tell.
        may_be_over: bool,
    },
    /// It is not put in force.
    Refused(Refusal),
    /// It cannot be put in force while the disk does not serve.
    StoreFailed(StoreFailure),
    /// It is not put in force, because the agent crashed with it again and again.
    SafeMode,
}

/// How the device's own disk serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StoreHealth {
    /// As it should.
    #[default]
    Healthy,
    /// Not at all: nothing is accepted and nothing changed.
    Failing(StoreFailure),
    /// It does now, but an earlier ledger was lost.
    Recovered {
        /// What happened.
        message: String,
    },
}

/// What a report is made of.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// When.
    pub now: Timestamp,
    /// The newest entry.
    pub entry: &'a SeenEntry,
    /// What became of it.
    pub judgement: &'a Judgement,
    /// What is in force.
    pub ledger: &'a LedgerBody,
    /// Why the document in force cannot be read any more, if so.
    pub unreadable: Option<&'a Refusal>,
    /// What came of the last pass; `None` before the first.
    pub outcome: Option<&'a PassOutcome>,
    /// The pause that lasts, if any.
    pub pause: Option<Pause>,
    /// What keeps everything from being applied, if anything.
    pub safe_mode: Option<SafeMode>,
    /// How the disk serves.
    pub store: &'a StoreHealth,
}

/// Builds reports and carries over from each to the next what tells since when something is so.
#[derive(Debug)]
pub struct Reporter {
    agent: AgentId,
    instance: String,
    info: AgentInfo,
    previous: Option<AgentStatus>,
}

impl Reporter {
    /// A reporter for this process. `previous` is the last report of the process before, if it is
    /// still known. One with words that only a newer agent knows is not.
    pub fn new(agent: AgentId, instance: String, info: AgentInfo, previous: Option<AgentStatus>) -> Self {
        let previous = previous.filter(|status| status.agent == agent && status.has_known_words_only());
        Self { agent, instance, info, previous }
    }

    /// The report of a situation. Its writer has epoch 0: it is the status writer that counts.
    pub fn report(&mut self, situation: Situation<'_>) -> AgentStatus {
        let accepted = situation.ledger.accepted.as_ref();
        let summary = situation.outcome.map(|outcome| summary(outcome, situation.ledger)).unwrap_or_default();
        let convergence = convergence(&situation, summary);
        let rolled_back = situation.ledger.gone_back_from().cloned();
        let phase = phase(situation.entry, &convergence, rolled_back.is_some());
        let status = AgentStatus {
            api_version: API_VERSION.into(),
            kind: KIND.into(),
            schema_version: SCHEMA_VERSION.into(),
            agent: self.agent.clone(),
            writer: Writer { instance: self.instance.clone(), epoch: 0, op: 0 },
            phase,
            desired: match situation.entry {
                SeenEntry::Entry(desired) => Some(desired.clone()),
                SeenEntry::None | SeenEntry::Unread => None,
            },
            highest_generation: situation.ledger.highest.map(|highest| highest.generation),
            accepted: accepted.map(accepted_part),
            applied: situation.ledger.applied.as_ref().map(|applied| Applied {
                generation: applied.generation,
                digest: applied.digest,
                at: applied.at,
            }),
            conditions: self.conditions(&situation, converged(convergence)),
            summary,
            resources: self.resources(&situation),
            rolled_back,
            truncated: false,
            agent_info: self.info.clone(),
        };
        self.previous = Some(status.clone());
        status
    }

    /// The last report, which may be that of the process before.
    pub fn last(&self) -> Option<&AgentStatus> {
        self.previous.as_ref()
    }

    fn conditions(&self, situation: &Situation<'_>, converged: Verdict) -> Vec<Condition> {
        let entry_generation = match situation.entry {
            SeenEntry::Entry(desired) => desired.generation,
            SeenEntry::None | SeenEntry::Unread => None,
        };
        let in_force = situation.ledger.accepted.as_ref().map(|document| document.generation);
        [
            (ConditionType::Accepted, (accepted(situation.judgement), entry_generation)),
            (ConditionType::Converged, (converged, in_force)),
            (ConditionType::StateStore, (state_store(situation.store), in_force)),
            (ConditionType::Paused, (paused(situation.pause), in_force)),
            (ConditionType::SafeMode, safe_mode(situation.safe_mode, in_force)),
        ]
        .map(|(condition_type, (verdict, generation))| {
            self.condition(condition_type, verdict, generation, situation.now)
        })
        .into()
    }

    fn condition(
        &self,
        condition_type: ConditionType,
        verdict: Verdict,
        observed_generation: Option<Generation>,
        now: Timestamp,
    ) -> Condition {
        let before = self.previous.as_ref().and_then(|status| status.condition(condition_type));
        let unchanged = before.filter(|before| before.status == verdict.status);
        Condition {
            condition_type,
            status: verdict.status,
            reason: verdict.reason.to_owned(),
            message: verdict.message,
            last_transition_time: unchanged.map_or(now, |before| before.last_transition_time),
            observed_generation,
        }
    }

    fn resources(&self, situation: &Situation<'_>) -> Vec<ResourceStatus> {
        let before: HashMap<(&str, &str), (ResourceState, Timestamp)> = self
            .previous
            .iter()
            .flat_map(|status| &status.resources)
            .map(|resource| ((&*resource.kind, &*resource.name), (resource.state, resource.since)))
            .collect();
        let since = |kind, name, now_is| {
            let same = before.get(&(kind, name)).filter(|(state, _)| *state == now_is);
            same.map_or(situation.now, |(_, since)| *since)
        };
        let Some(outcome) = situation.outcome else { return Vec::new() };
        let known = outcome.resources.iter().map(|resource| {
            let (kind, name) = (resource.claim.kind().as_str(), resource.name.as_str());
            resource_part(resource, since(kind, name, resource.state))
        });
        let unknown = situation
            .ledger
            .of_unknown_kinds()
            .map(|(kind, name)| left_to_a_newer_agent(kind, name, since(kind, name, ResourceState::Pending)));
        known.chain(unknown).collect()
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Verdict {
    status: ConditionStatus,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::True, reason, message: message.into() }
    }

    fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::False, reason, message: message.into() }
    }

    fn unknown(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::Unknown, reason, message: message.into() }
    }
}

fn accepted(judgement: &Judgement) -> Verdict {
    match judgement {
        Judgement::NotYet => Verdict::unknown("NotJudged", ""),
        Judgement::NoEntry => Verdict::unknown("NoEntry", "there is no entry for this device"),
        Judgement::Accepted { ignored, may_be_over } => {
            let ignored = (!ignored.is_empty())
                .then(|| format!("keys of a newer schema were left out: {}", ignored.join(", ")));
            let doubt = may_be_over.then(|| {
                "this device's clock is not set, so whether the document or its key is over was not judged".to_owned()
            });
            let remarks: Vec<String> = ignored.into_iter().chain(doubt).collect();
            Verdict::yes("Accepted", remarks.join("; "))
        }
        Judgement::Refused(refusal) => Verdict::no(refusal.reason.as_str(), refusal.message.clone()),
        Judgement::StoreFailed(failure) => Verdict::unknown("StateStore", failure.to_string()),
        Judgement::SafeMode => Verdict::unknown(
            "SafeMode",
            "the agent crashed with this document again and again; see condition SafeMode",
        ),
    }
}

/// How the device stands to the document in force.
#[derive(Debug)]
enum Convergence {
    NothingAccepted,
    Progressing(String),
    AllReady,
    Failing(String),
}

fn convergence(situation: &Situation<'_>, summary: Summary) -> Convergence {
    if situation.ledger.accepted.is_none() {
        return Convergence::NothingAccepted;
    }
    if situation.safe_mode.is_some() {
        let message = "nothing is applied or repaired; see condition SafeMode";
        return Convergence::Failing(message.to_owned());
    }
    if let Some(refusal) = situation.unreadable {
        return Convergence::Failing(format!(
            "this agent cannot read the document in force any more, and leaves all as it is: {refusal}"
        ));
    }
    let Some(outcome) = situation.outcome else { return Convergence::Progressing(String::new()) };
    let Summary { total, ready, failed, pending: _ } = summary;
    match outcome.resources.iter().find(|resource| resource.state == ResourceState::Failed) {
        Some(first) => {
            let (name, reason) = (first.name.as_str(), &first.reason);
            Convergence::Failing(format!("{failed} of {total} resources failing, first {name:?}: {reason}"))
        }
        None if outcome.is_converged() && ready == total => Convergence::AllReady,
        None => Convergence::Progressing(format!("{ready} of {total} resources ready")),
    }
}

fn phase(entry: &SeenEntry, convergence: &Convergence, rolled_back: bool) -> Phase {
    match convergence {
        Convergence::NothingAccepted => Phase::Unassigned,
        _ if *entry == SeenEntry::None => Phase::Unassigned,
        _ if rolled_back => Phase::RolledBack,
        Convergence::Progressing(_) => Phase::Converging,
        Convergence::AllReady => Phase::Converged,
        Convergence::Failing(_) => Phase::Degraded,
    }
}

fn converged(convergence: Convergence) -> Verdict {
    match convergence {
        Convergence::NothingAccepted => Verdict::unknown("NothingAccepted", "no document was accepted yet"),
        Convergence::Progressing(message) => Verdict::no("Progressing", message),
        Convergence::AllReady => Verdict::yes("AllReady", ""),
        Convergence::Failing(message) => Verdict::no("Failing", message),
    }
}

fn state_store(store: &StoreHealth) -> Verdict {
    match store {
        StoreHealth::Healthy => Verdict::yes("Healthy", ""),
        StoreHealth::Failing(failure) => Verdict::no(failure.reason(), failure.to_string()),
        StoreHealth::Recovered { message } => Verdict::no("LedgerRecovered", message.clone()),
    }
}

fn paused(pause: Option<Pause>) -> Verdict {
    match pause {
        Some(pause) => Verdict::yes("Paused", format!("changes are held back {}", pause.end_in_words())),
        None => Verdict::no("NotPaused", ""),
    }
}

/// Judged for the document that it is about, which need not be the one in force.
fn safe_mode(safe_mode: Option<SafeMode>, in_force: Option<Generation>) -> (Verdict, Option<Generation>) {
    match safe_mode {
        Some(safe_mode) => {
            (Verdict::yes("RepeatedCrashes", safe_mode.to_string()), Some(safe_mode.generation))
        }
        None => (Verdict::no("NotNeeded", ""), in_force),
    }
}

/// Counts of all that is told of: also of what only a newer agent knows.
fn summary(outcome: &PassOutcome, ledger: &LedgerBody) -> Summary {
    let known = outcome.summary();
    let unknown = ledger.of_unknown_kinds().count() as u64;
    Summary { total: known.total + unknown, pending: known.pending + unknown, ..known }
}

fn accepted_part(document: &AcceptedDocument) -> Accepted {
    Accepted {
        generation: document.generation,
        digest: document.digest,
        kind: document.kind.clone(),
        schema_version: document.schema_version.clone(),
        at: document.at,
    }
}

fn left_to_a_newer_agent(kind: &str, name: &str, since: Timestamp) -> ResourceStatus {
    ResourceStatus {
        kind: kind.to_owned(),
        name: name.to_owned(),
        state: ResourceState::Pending,
        reason: KIND_UNKNOWN.to_owned(),
        message: "a newer agent made it, and this one, which does not know its kind, leaves it as it is; upgrade the \
                  agent, which then keeps or removes it as its document says"
            .to_owned(),
        since,
        spec_digest: None,
        changes: 0,
        drift_corrections: 0,
        restarts: 0,
        attempts: 0,
        next_retry: None,
        details: serde_json::json!({}),
    }
}

fn resource_part(outcome: &ResourceOutcome, since: Timestamp) -> ResourceStatus {
    ResourceStatus {
        kind: outcome.claim.kind().as_str().to_owned(),
        name: outcome.name.as_str().to_owned(),
        state: outcome.state,
        reason: outcome.reason.clone().into_owned(),
        message: outcome.message.clone(),
        since,
        spec_digest: outcome.spec_digest,
        changes: outcome.changes,
        drift_corrections: outcome.drift_corrections,
        restarts: outcome.restarts,
        attempts: outcome.attempts,
        next_retry: outcome.next_retry,
        details: match &outcome.details {
            serde_json::Value::Null => serde_json::json!({}),
            details => details.clone(),
        },
    }
}
