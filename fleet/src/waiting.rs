//! Whether a device got where it should be.
//!
//! [`judge`] is pure: an agent, a goal and the time give a [`Verdict`]. [`next_verdict`] watches
//! until one of several devices has a final one.

use std::{collections::BTreeMap, time::Duration};

use agent_model::{
    AgentId, Digest, Generation, RefusalReason, Timestamp,
    status::{AgentStatus, ConditionStatus, ConditionType, Phase, ResourceState},
};
use tokio::time::Instant;

use crate::{Agent, DesiredEntry, Roster, StoreError};

/// How often the verdicts are taken anew although nothing arrived: a device goes offline silently.
const TICK: Duration = Duration::from_secs(1);

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// The device has fully applied this document.
    Converged(Target),
    /// The device has noticed that there is no document for it.
    Unassigned,
}

/// A document in the bucket, as a device refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The entry's revision.
    pub revision: u64,
    /// The document's digest, by which the device's answers are recognised: it covers the
    /// generation, so that no two documents share it. It does not cover signatures.
    pub digest: Digest,
    /// The document's generation, for messages.
    pub generation: Option<Generation>,
    /// Whether the device goes back to what converged before, should not all of it be ready in its time.
    pub goes_back: bool,
}

impl Target {
    /// The document of that entry; `None` when it was deleted.
    pub fn of(entry: &DesiredEntry) -> Option<Self> {
        let document = entry.document.as_ref()?;
        Some(Self {
            revision: entry.revision,
            digest: document.digest,
            generation: document.glance.generation,
            goes_back: document.goes_back(),
        })
    }
}

/// Where a device stands to a goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It got there.
    Reached,
    /// It does not accept the document, and what it had before goes on.
    Refused {
        /// One of the reasons of the wire contract.
        reason: String,
        /// The device's words.
        message: String,
    },
    /// It accepted the document and some resource is failing, and nothing else is under way. It
    /// goes on trying, and nothing else will end that.
    Failed {
        /// The failing resources, each with its reason.
        message: String,
    },
    /// It accepted the document, which was not ready in time, and went back to the one that converged before. It will
    /// not try again: only another document gets it further.
    RolledBack {
        /// One word.
        reason: String,
        /// The device's words.
        message: String,
    },
    /// It has stopped applying anything after repeated crashes. It goes on when another document comes, or when
    /// somebody ends that on the device.
    InSafeMode {
        /// The device's words.
        message: String,
    },
    /// Someone wrote or deleted the entry after this document.
    Superseded,
    /// It has not got there, and was not heard of for too long.
    Offline {
        /// When it last gave a sign of life; `None` for never.
        last_seen: Option<Timestamp>,
    },
    /// It is on its way, or has not noticed yet. The only verdict that is not final.
    InProgress,
}

impl Verdict {
    /// Whether a higher generation would help: the device has seen newer documents than the
    /// bucket remembers.
    pub fn asks_for_higher_generation(&self) -> bool {
        let reasons = [RefusalReason::StaleGeneration, RefusalReason::GenerationConflict];
        matches!(self, Self::Refused { reason, .. } if reasons.iter().any(|known| known.as_str() == reason))
    }
}

/// What time it is, and how long a silent device counts as online.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Now.
    pub now: Timestamp,
    /// The longest silence of an online device.
    pub offline_after: Duration,
}

/// How long to wait for devices.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// When to give up.
    pub deadline: Instant,
    /// The longest silence of an online device.
    pub offline_after: Duration,
    /// Whether a device that is offline may come back before the deadline; else it has its verdict
    /// at once.
    pub waits_for_offline: bool,
}

/// Where the agent stands to the goal. `None` for the agent: nothing at all is known of it.
pub fn judge(goal: &Goal, agent: Option<&Agent>, clock: Clock) -> Verdict {
    let status = agent.and_then(Agent::status);
    let verdict = match goal {
        Goal::Converged(target) => {
            let standing = status.map_or(Verdict::InProgress, |status| judge_document(target, status));
            let superseded = agent.and_then(|agent| agent.desired.as_ref()).is_some_and(|entry| {
                entry.revision > target.revision
                    && entry.document.as_ref().is_none_or(|document| document.digest != target.digest)
            });
            match standing {
                Verdict::InProgress | Verdict::Failed { .. } | Verdict::InSafeMode { .. } if superseded => {
                    Verdict::Superseded
                }
                standing => standing,
            }
        }
        Goal::Unassigned => match status {
            Some(status) if status.phase == Phase::Unassigned => Verdict::Reached,
            _ => Verdict::InProgress,
        },
    };
    let is_online = agent.is_some_and(|agent| agent.is_online(clock.now, clock.offline_after));
    match verdict {
        Verdict::InProgress if !is_online => Verdict::Offline { last_seen: agent.and_then(Agent::last_seen) },
        verdict => verdict,
    }
}

fn judge_document(target: &Target, status: &AgentStatus) -> Verdict {
    let in_force = status.accepted.as_ref().is_some_and(|accepted| accepted.digest == target.digest);
    let applied = status.applied.as_ref().is_some_and(|applied| applied.digest == target.digest);
    let converged = status.condition(ConditionType::Converged);
    // Whatever the phase is called: in all of 1.x this condition is about the document in `accepted`, and none that was
    // gone back from stands there.
    if in_force && applied && converged.is_some_and(|condition| condition.status == ConditionStatus::True) {
        return Verdict::Reached;
    }
    // Told of no other document than this one: what was before it says nothing about it.
    if let Some(rolled_back) = status.rolled_back.as_ref().filter(|from| from.digest == target.digest) {
        let (reason, message) = (rolled_back.reason.clone(), rolled_back.message.clone());
        return Verdict::RolledBack { reason, message };
    }
    let newest = status.desired.as_ref().filter(|desired| desired.digest == target.digest);
    // The same document may have been refused in an earlier entry, for the signature that it had there.
    if let Some(accepted) = status.condition(ConditionType::Accepted)
        && newest.is_some_and(|desired| desired.revision >= target.revision)
        && accepted.status == ConditionStatus::False
    {
        return Verdict::Refused { reason: accepted.reason.clone(), message: accepted.message.clone() };
    }
    if let Some(safe_mode) = status.condition(ConditionType::SafeMode)
        && (in_force || newest.is_some())
        && safe_mode.status == ConditionStatus::True
    {
        return Verdict::InSafeMode { message: safe_mode.message.clone() };
    }
    // Where something else has converged before, the device goes back to that in time, and then it is known.
    let is_on_trial = target.goes_back && status.applied.is_some() && !applied;
    if in_force && status.phase == Phase::Degraded && !is_progressing(status) && !is_on_trial {
        return Verdict::Failed { message: failures(status) };
    }
    Verdict::InProgress
}

/// Whether anything but the failing resources, and what waits for them, is under way. So may be whatever is in a state
/// that only a newer agent knows.
fn is_progressing(status: &AgentStatus) -> bool {
    status.resources.iter().any(|resource| match resource.state {
        ResourceState::Applying | ResourceState::Removing | ResourceState::Unknown => true,
        ResourceState::Pending => resource.reason != "DependencyNotReady",
        ResourceState::Ready | ResourceState::Failed | ResourceState::Skipped => false,
    })
}

fn failures(status: &AgentStatus) -> String {
    let failed: Vec<String> = status
        .resources
        .iter()
        .filter(|resource| resource.state == ResourceState::Failed)
        .map(|resource| {
            format!("{}/{} {}: {}", resource.kind, resource.name, resource.reason, resource.message)
        })
        .collect();
    if failed.is_empty() { format!("{} resources failed", status.summary.failed) } else { failed.join("; ") }
}

/// Waits until one of the agents has a final verdict, and returns it; `None` when the deadline
/// comes first. `progress` is called with each agent that changed, and each second without one.
///
/// A watch that breaks is begun again until the deadline: while a cluster elects a leader, nothing
/// can be read, and that passes.
///
/// # Errors
/// The watch broke and what broke it does not pass by itself.
pub async fn next_verdict(
    roster: &mut Roster,
    goals: &BTreeMap<AgentId, Goal>,
    patience: Patience,
    mut progress: impl FnMut(&Roster, Option<&AgentId>),
) -> Result<Option<(AgentId, Verdict)>, StoreError> {
    let mut ticks = tokio::time::interval(TICK);
    let mut changed = None;
    loop {
        let suspects = goals.iter().filter(|(agent, _)| changed.as_ref().is_none_or(|id| id == *agent));
        if let Some(found) =
            suspects.filter_map(|(agent, goal)| settled(roster, agent, goal, patience)).next()
        {
            return Ok(Some(found));
        }
        progress(roster, changed.as_ref());
        // Each arm may be dropped half-way: a change is taken in without an await after it
        // arrived, and the timers keep their time.
        let woken = tokio::select! {
            agent = roster.changed() => agent.map(Some),
            _ = ticks.tick() => Ok(None),
            () = tokio::time::sleep_until(patience.deadline) => return Ok(None),
        };
        changed = match woken {
            Ok(agent) => agent,
            Err(error) => match roster.read_again(error, Some(patience.deadline)).await {
                Ok(()) => None,
                // It was tried until the deadline.
                Err(error) if error.may_pass() => return Ok(None),
                Err(error) => return Err(error),
            },
        };
    }
}

/// The agent with its verdict, if that is final.
fn settled(roster: &Roster, agent: &AgentId, goal: &Goal, patience: Patience) -> Option<(AgentId, Verdict)> {
    let clock = Clock { now: Timestamp::now(), offline_after: patience.offline_after };
    let verdict = judge(goal, roster.get(agent), clock);
    let may_come_back = patience.waits_for_offline && matches!(verdict, Verdict::Offline { .. });
    (verdict != Verdict::InProgress && !may_come_back).then(|| (agent.clone(), verdict))
}

#[cfg(test)]
pub(crate) mod tests;
