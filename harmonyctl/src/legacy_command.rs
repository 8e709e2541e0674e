//! From the document of the proof of concept, a bare `{"command": "…"}`, to a manifest with one job of it.

use agent_core::authoring::AuthoredDocument;
use agent_manifest_v1::KIND;
use agent_model::{AgentId, Problem, ShellJobSpec, status::API_VERSION};
use serde_json::{Map, Value, json};

/// The name of the one resource.
const NAME: &str = "legacy-command";

/// The manifest for that device.
///
/// # Errors
/// When it is no such document.
pub(crate) fn to_manifest(
    fields: &Map<String, Value>,
    agent: &AgentId,
    source: &str,
) -> Result<AuthoredDocument, Vec<Problem>> {
    let problem = |pointer: &str, message: &str| {
        vec![Problem { pointer: pointer.to_owned(), message: message.to_owned() }]
    };
    if let Some(other) = fields.keys().find(|key| *key != "command") {
        let message = "a legacy command has the key \"command\" and no other";
        return Err(problem(&format!("/{other}"), message));
    }
    let Some(command) = fields.get("command").and_then(Value::as_str) else {
        return Err(problem(
            "/command",
            "it is missing, or no text: a legacy command is {\"command\": \"…\"}",
        ));
    };
    let spec = ShellJobSpec::new(command);
    if let Some(Problem { message, .. }) = spec.problems().into_iter().next() {
        return Err(problem("/command", &message));
    }
    let fields = [
        ("apiVersion", json!(API_VERSION)),
        ("kind", json!(KIND)),
        ("metadata", json!({"name": agent})),
        ("spec", json!({"resources": [{"name": NAME, "kind": "ShellJob", "spec": spec}]})),
    ];
    let fields = fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    Ok(AuthoredDocument::from_fields(source.to_owned(), fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(document: &Value) -> Result<Value, String> {
        let agent = "edge-1".parse().unwrap();
        to_manifest(document.as_object().unwrap(), &agent, "x")
            .map(|document| Value::Object(document.fields().clone()))
            .map_err(|problems| problems[0].to_string())
    }

    #[test]
    fn a_bare_command_becomes_a_manifest_with_one_job_of_it() {
        let manifest = converted(&json!({"command": "uptime"})).unwrap();
        assert_eq!(manifest["metadata"], json!({"name": "edge-1"}));
        let job = json!([{"name": "legacy-command", "kind": "ShellJob", "spec": {"script": "uptime"}}]);
        assert_eq!(manifest["spec"]["resources"], job);
    }

    #[test]
    fn what_is_no_bare_command_is_refused_by_its_place() {
        for (document, place) in [
            (json!({}), "/command"),
            (json!({"command": 1}), "/command"),
            (json!({"command": " "}), "/command"),
            (json!({"command": "x", "kind": "AgentManifest"}), "/kind"),
        ] {
            assert!(converted(&document).unwrap_err().starts_with(place), "{document}");
        }
    }
}
