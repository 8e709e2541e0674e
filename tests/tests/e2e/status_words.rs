//! What tests ask of a status.

use agent_model::status::{
    AgentStatus, ConditionStatus, ConditionType, Phase, ResourceState, ResourceStatus,
};

/// Whether this generation is the newest seen, in force and fully applied.
pub(crate) fn converged_at(generation: u64) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        status.phase == Phase::Converged
            && status.desired.as_ref().and_then(|desired| desired.generation).map(u64::from)
                == Some(generation)
            && accepted(status) == Some(generation)
            && status.applied.as_ref().map(|applied| u64::from(applied.generation)) == Some(generation)
            && is(status, ConditionType::Converged, ConditionStatus::True, "AllReady")
    }
}

/// Whether a later process of the agent than the one that told `before` says so. The writer does not tell:
/// the first write of a process repeats what the one before had said.
pub(crate) fn of_a_later_process(before: &AgentStatus) -> impl Fn(&AgentStatus) -> bool + use<> {
    let started = before.agent_info.started_at;
    move |status| status.agent_info.started_at > started
}

/// The generation in force.
pub(crate) fn accepted(status: &AgentStatus) -> Option<u64> {
    status.accepted.as_ref().map(|accepted| u64::from(accepted.generation))
}

/// Whether a condition has this status for this reason.
pub(crate) fn is(
    status: &AgentStatus,
    condition_type: ConditionType,
    condition_status: ConditionStatus,
    reason: &str,
) -> bool {
    let condition = status.condition(condition_type);
    condition.is_some_and(|condition| condition.status == condition_status && condition.reason == reason)
}

/// Whether the entry of this revision was refused for this reason.
pub(crate) fn refused(revision: u64, reason: &str) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        status.desired.as_ref().is_some_and(|desired| desired.revision == revision)
            && is(status, ConditionType::Accepted, ConditionStatus::False, reason)
    }
}

/// What a status counts of a resource: its fields of these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) changes: u64,
    pub(crate) restarts: u64,
    pub(crate) drift_corrections: u64,
}

/// Those of the resource of that name.
pub(crate) fn counts(status: &AgentStatus, name: &str) -> Counts {
    let ResourceStatus { changes, restarts, drift_corrections, .. } = *resource(status, name);
    Counts { changes, restarts, drift_corrections }
}

/// The resource of that name.
pub(crate) fn resource<'a>(status: &'a AgentStatus, name: &str) -> &'a ResourceStatus {
    listed(status, name).unwrap_or_else(|| panic!("the status lists no {name}: {status:#?}"))
}

/// The same, if the status lists it.
pub(crate) fn listed<'a>(status: &'a AgentStatus, name: &str) -> Option<&'a ResourceStatus> {
    status.resources.iter().find(|resource| resource.name == name)
}

/// Whether the resource of that name is in that state for that reason.
pub(crate) fn stands(
    name: &'static str,
    state: ResourceState,
    reason: &'static str,
) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        listed(status, name).is_some_and(|resource| resource.state == state && resource.reason == reason)
    }
}
