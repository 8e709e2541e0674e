//! How soon the platform should hear of a change.

use agent_model::status::{AgentStatus, ResourceStatus};

/// What differs between two statuses, by how soon the platform should hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing but who wrote them.
    None,
    /// Only counters, progress and words about them: they can wait and be told together.
    Progress,
    /// The device's state, or what the device did: to be told at once.
    Urgent,
}

impl Change {
    /// What differs between `old` and `new`.
    pub fn between(old: &AgentStatus, new: &AgentStatus) -> Self {
        // Taken apart wholly, so that a field of tomorrow has to be judged here.
        let AgentStatus {
            api_version,
            kind,
            schema_version,
            agent,
            writer: _,
            phase,
            desired,
            highest_generation,
            accepted,
            applied,
            conditions,
            summary,
            resources,
            rolled_back,
            truncated,
            agent_info,
        } = old;
        let same_state = *api_version == new.api_version
            && *kind == new.kind
            && *schema_version == new.schema_version
            && *agent == new.agent
            && *phase == new.phase
            && *desired == new.desired
            && *highest_generation == new.highest_generation
            && *accepted == new.accepted
            && *applied == new.applied
            && *conditions == new.conditions
            && *summary == new.summary
            && resources.len() == new.resources.len()
            && *rolled_back == new.rolled_back
            && *truncated == new.truncated
            && *agent_info == new.agent_info;
        if !same_state {
            return Self::Urgent;
        }
        let resources = resources.iter().zip(&new.resources);
        resources.map(|(old, new)| Self::of_resource(old, new)).max().unwrap_or(Self::None)
    }

    fn of_resource(old: &ResourceStatus, new: &ResourceStatus) -> Self {
        let ResourceStatus {
            kind,
            name,
            state,
            reason,
            message,
            since,
            spec_digest,
            changes,
            drift_corrections,
            restarts,
            attempts,
            next_retry,
            details,
        } = old;
        let same_state = *kind == new.kind
            && *name == new.name
            && *state == new.state
            && *reason == new.reason
            && *since == new.since
            && *spec_digest == new.spec_digest
            && *changes == new.changes
            && *drift_corrections == new.drift_corrections;
        let same_progress = *message == new.message
            && *restarts == new.restarts
            && *attempts == new.attempts
            && *next_retry == new.next_retry
            && *details == new.details;
        match (same_state, same_progress) {
            (false, _) => Self::Urgent,
            (true, false) => Self::Progress,
            (true, true) => Self::None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use agent_model::{
        Generation, Timestamp,
        status::{Phase, ResourceState},
    };
    use serde_json::json;

    /// A device with `resources` files that are as declared.
    pub(crate) fn converged(resources: usize) -> AgentStatus {
        let resources: Vec<_> = (0..resources)
            .map(|n| {
                json!({
                    "kind": "File", "name": format!("file-{n}"), "state": "Ready", "reason": "InSync", "message": "",
                    "since": "2026-01-31T12:00:00Z", "specDigest": null, "changes": 1, "driftCorrections": 0,
                    "restarts": 0, "attempts": 0, "nextRetry": null, "details": {}
                })
            })
            .collect();
        let total = resources.len();
        let condition = |condition_type: &str, status: &str, reason: &str| {
            json!({
                "type": condition_type, "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-31T12:00:00Z", "observedGeneration": 7
            })
        };
        serde_json::from_value(json!({
            "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": "edge-0042",
            "writer": {"instance": "", "epoch": 0, "op": 0},
            "phase": "Converged", "desired": null, "highestGeneration": 7, "accepted": null, "applied": null,
            "conditions": [
                condition("Accepted", "True", "Accepted"), condition("Converged", "True", "AllReady"),
                condition("StateStore", "True", "Healthy"), condition("Paused", "False", "NotPaused"),
                condition("SafeMode", "False", "Normal")
            ],
            "summary": {"total": total, "ready": total, "failed": 0, "pending": 0},
            "resources": resources,
            "agentInfo": {
                "version": "0.1.0", "formats": {"AgentManifest": ["1.0.0"]}, "scores": [], "reconcilers": ["File"],
                "facts": {"os": "linux"}, "bootId": null, "startedAt": "2026-01-31T12:00:00Z"
            }
        }))
        .unwrap()
    }

    fn after(change: impl FnOnce(&mut AgentStatus)) -> Change {
        let old = converged(3);
        let mut new = old.clone();
        change(&mut new);
        Change::between(&old, &new)
    }

    #[test]
    fn who_wrote_it_is_no_change() {
        assert_eq!(after(|_| {}), Change::None);
        assert_eq!(after(|new| new.writer.op += 1), Change::None);
    }

    #[test]
    fn counters_and_words_of_a_resource_are_progress() {
        assert_eq!(after(|new| new.resources[1].attempts += 1), Change::Progress);
        assert_eq!(after(|new| new.resources[1].restarts += 1), Change::Progress);
        assert_eq!(after(|new| new.resources[1].next_retry = Some(Timestamp::UNIX_EPOCH)), Change::Progress);
        assert_eq!(after(|new| new.resources[1].details = json!({"pulled": "12 %"})), Change::Progress);
        assert_eq!(after(|new| new.resources[1].message = "still pulling".to_owned()), Change::Progress);
    }

    #[test]
    fn what_a_device_is_and_did_is_urgent() {
        assert_eq!(after(|new| new.phase = Phase::Degraded), Change::Urgent);
        assert_eq!(after(|new| new.highest_generation = Some(Generation::MAX)), Change::Urgent);
        assert_eq!(after(|new| new.conditions[2].message = "disk full".to_owned()), Change::Urgent);
        assert_eq!(after(|new| new.summary.failed += 1), Change::Urgent);
        assert_eq!(after(|new| new.resources[0].state = ResourceState::Failed), Change::Urgent);
        assert_eq!(after(|new| new.resources[0].reason = "NotRegularFile".to_owned()), Change::Urgent);
        assert_eq!(after(|new| new.resources[0].changes += 1), Change::Urgent);
        assert_eq!(after(|new| new.resources[0].drift_corrections += 1), Change::Urgent);
        assert_eq!(after(|new| new.resources.truncate(2)), Change::Urgent);
        assert_eq!(after(|new| new.resources.swap(0, 1)), Change::Urgent);
    }

    #[test]
    fn one_urgent_resource_outweighs_the_progress_of_others() {
        let change = |urgent: usize, progress: usize| {
            after(|new| {
                new.resources[urgent].drift_corrections += 1;
                new.resources[progress].attempts += 1;
            })
        };
        assert_eq!(change(0, 2), Change::Urgent);
        assert_eq!(change(2, 0), Change::Urgent);
    }
}
