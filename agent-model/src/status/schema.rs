//! The JSON Schema of a status as this version writes it, and what this version makes of those of newer ones.

use std::{borrow::Cow, fs, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};

use super::*;

/// The schema of a type that is one value on the wire.
macro_rules! is_written_as {
    ($type:ty, $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

is_written_as!(AgentId, {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"});
is_written_as!(Digest, {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"});
is_written_as!(Generation, {"type": "integer", "minimum": 1, "maximum": 9_007_199_254_740_991_u64});
is_written_as!(SealingKey, {"type": "string", "pattern": "^X[A-Z2-7]{55}$"});
is_written_as!(Timestamp, {"type": "string", "format": "date-time"});

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../schemas/{KIND}/{SCHEMA_VERSION}.json"));
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let schema = settings.into_generator().into_root_schema_for::<AgentStatus>().to_value();
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        fs::write(&path, text).unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(
        committed == schema,
        "{} differs from the types; if that is meant, regenerate it: UPDATE_SCHEMAS=1 cargo test -p agent-model",
        path.display()
    );
}

#[test]
fn a_status_of_a_newer_agent_is_read_without_what_this_version_does_not_know() {
    let time = "2026-01-31T12:00:00Z";
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "R", "message": "", "lastTransitionTime": time,
               "observedGeneration": 8})
    };
    let status = json!({
        "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.2.0", "agent": "a",
        "writer": {"instance": "i", "epoch": 1, "op": 1}, "phase": "Levitating", "desired": null,
        "highestGeneration": 8, "accepted": null, "applied": null,
        "levitation": {"generation": 8},
        "conditions": [condition("Levitating", "True"), condition("Paused", "Perhaps"), condition("SafeMode", "False")],
        "summary": {"total": 1, "ready": 0, "failed": 0, "pending": 1, "quarantined": 0},
        "resources": [{"kind": "Lamp", "name": "l", "state": "Quarantined", "reason": "R", "message": "", "since": time,
                       "specDigest": null, "changes": 0, "driftCorrections": 0, "restarts": 0, "attempts": 0,
                       "nextRetry": null, "details": {}, "quarantinedBy": "x"}],
        "agentInfo": {"version": "0.2.0", "formats": {}, "scores": [], "reconcilers": [], "facts": {},
                      "bootId": null, "startedAt": time, "model": "x"},
    });
    let read: AgentStatus = serde_json::from_value(status).unwrap();
    assert_eq!((read.phase, read.resources[0].state), (Phase::Unknown, ResourceState::Unknown));
    assert_eq!(read.conditions[0].condition_type, ConditionType::Unknown);
    let known = |condition_type| read.condition(condition_type).unwrap().status;
    assert_eq!(known(ConditionType::Paused), ConditionStatus::Unknown);
    assert_eq!(known(ConditionType::SafeMode), ConditionStatus::False);
    assert_eq!(read.highest_generation.map(Generation::get), Some(8));
    assert!(!read.has_known_words_only() && serde_json::to_value(read).is_err());
}

#[test]
fn a_word_of_a_newer_version_is_never_written_as_unknown() {
    assert!(serde_json::to_value(Phase::Unknown).is_err());
    assert!(serde_json::to_value(ResourceState::Unknown).is_err());
    assert!(serde_json::to_value(ConditionType::Unknown).is_err());
}

#[test]
fn a_heartbeat_of_a_newer_agent_is_read() {
    let beat = json!({"epoch": 12, "acceptedGeneration": 8, "phase": "Levitating", "load": 0.5});
    let read: Heartbeat = serde_json::from_value(beat).unwrap();
    assert_eq!((read.epoch, read.phase), (12, Phase::Unknown));
}
