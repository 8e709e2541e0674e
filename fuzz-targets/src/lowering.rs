//! The spec of a document, read by its format.

use std::sync::LazyLock;

use agent_core::{
    dispatcher::Formats,
    envelope::{Envelope, Received},
};
use agent_manifest_v1::AgentManifestV1;
use agent_model::{DesiredState, DeviceFacts, MAX_RESOURCES, ResourceKind};
use agent_score_bridge::{ScoreBridge, ScoreRegistry, express};

static FORMATS: LazyLock<Formats> = LazyLock::new(|| {
    let bridge = ScoreBridge::new(ScoreRegistry::built_in(), ResourceKind::ALL.iter().copied());
    Formats::none().with(AgentManifestV1).with(bridge)
});

/// As the spec of an `AgentManifest`: what it is lowered to is lowered from Scores as well.
pub(super) fn manifest(bytes: &[u8]) -> bool {
    let Some(state) = lowered("AgentManifest", "1.1.0", bytes) else { return false };
    let scores = serde_json::to_vec(&express(&state).expect("every resource has a Score")).expect("JSON");
    assert_eq!(lowered("Score", "0.1.1", &scores).as_ref(), Some(&state), "as Scores it is the same");
    true
}

/// As the spec of a `Score` document.
pub(super) fn score(bytes: &[u8]) -> bool {
    lowered("Score", "0.1.1", bytes).is_some()
}

fn lowered(kind: &str, version: &str, spec: &[u8]) -> Option<DesiredState> {
    let head = format!(
        r#"{{"apiVersion":"harmony/v1","kind":"{kind}","schemaVersion":"{version}","metadata":{{"name":"edge-1","generation":1}},"spec":"#
    );
    let document = [head.as_bytes(), spec, b"}"].concat();
    let envelope = Envelope::open(Received::read(&document)).ok()?;
    let state = FORMATS.lower(&envelope, &DeviceFacts::new()).ok()?.state;
    assert!(state.resources().len() <= MAX_RESOURCES);
    Some(state)
}
