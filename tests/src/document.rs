//! The documents that tests write.

use serde_json::{Value, json};

/// A complete unsigned envelope with an `AgentManifest` of these resources.
pub fn manifest(agent: &str, generation: u64, resources: &[Value]) -> Value {
    json!({
        "apiVersion": "harmony/v1",
        "kind": "AgentManifest",
        "schemaVersion": "1.0.0",
        "metadata": {"name": agent, "generation": generation},
        "spec": {"resources": resources},
    })
}

/// What an author writes of a manifest; `harmonyctl` fills in the rest.
pub fn authored(agent: &str, resources: &[Value]) -> Value {
    json!({
        "apiVersion": "harmony/v1",
        "kind": "AgentManifest",
        "metadata": {"name": agent},
        "spec": {"resources": resources},
    })
}

/// A `File` resource.
pub fn file(name: &str, path: &str, content: &str) -> Value {
    json!({"kind": "File", "name": name, "spec": {"path": path, "content": content}})
}

/// A `File` resource that waits for others.
pub fn file_after(name: &str, depends_on: &[&str], path: &str, content: &str) -> Value {
    let mut file = file(name, path, content);
    file["dependsOn"] = json!(depends_on);
    file
}
