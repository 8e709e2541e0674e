//! The documents that tests write.

use serde_json::{Value, json};

/// A format in which a document can state the same resources. Tests write resources as an
/// `AgentManifest` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Version 1 of the manifest.
    AgentManifest,
    /// Scores, one for each resource.
    Score,
}

impl Format {
    /// The envelope's kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::AgentManifest => "AgentManifest",
            Self::Score => "Score",
        }
    }

    /// The schema version that documents are written against.
    pub fn schema_version(self) -> &'static str {
        match self {
            Self::AgentManifest => "1.0.0",
            Self::Score => "0.1.0",
        }
    }

    /// A complete unsigned envelope with these resources.
    pub fn document(self, agent: &str, generation: u64, resources: &[Value]) -> Value {
        self.envelope(agent, generation, &self.spec(resources))
    }

    /// What an author writes of a document; `harmonyctl` fills in the rest.
    pub fn authored(self, agent: &str, resources: &[Value]) -> Value {
        json!({
            "apiVersion": "harmony/v1",
            "kind": self.kind(),
            "metadata": {"name": agent},
            "spec": self.spec(resources),
        })
    }

    fn envelope(self, agent: &str, generation: u64, spec: &Value) -> Value {
        json!({
            "apiVersion": "harmony/v1",
            "kind": self.kind(),
            "schemaVersion": self.schema_version(),
            "metadata": {"name": agent, "generation": generation},
            "spec": spec,
        })
    }

    fn spec(self, resources: &[Value]) -> Value {
        match self {
            Self::AgentManifest => json!({"resources": resources}),
            Self::Score => json!({"scores": resources.iter().map(as_score).collect::<Vec<_>>()}),
        }
    }
}

/// The same document with a deadline: a device goes back from it, unless all of it is ready by then.
///
/// # Panics
/// When it is no document of these formats.
pub fn within(deadline: &str, mut document: Value) -> Value {
    let since = match document["kind"].as_str() {
        Some("AgentManifest") => "1.1.0",
        Some("Score") => "0.1.1",
        kind => panic!("{kind:?} has no deadlines"),
    };
    document["schemaVersion"] = since.into();
    document["spec"]["rollback"] = json!({"deadline": deadline});
    document
}

/// A job of this script.
pub fn job(name: &str, script: &str) -> Value {
    json!({"name": name, "kind": "ShellJob", "spec": {"script": script}})
}

/// A complete unsigned envelope with an `AgentManifest` of these resources.
pub fn manifest(agent: &str, generation: u64, resources: &[Value]) -> Value {
    Format::AgentManifest.document(agent, generation, resources)
}

/// What an author writes of a manifest; `harmonyctl` fills in the rest.
pub fn authored(agent: &str, resources: &[Value]) -> Value {
    Format::AgentManifest.authored(agent, resources)
}

/// A complete unsigned envelope with these Scores.
pub fn scores(agent: &str, generation: u64, entries: &[Value]) -> Value {
    Format::Score.envelope(agent, generation, &json!({"scores": entries}))
}

/// A Score of a document, of version 0.1.0.
pub fn score(score: &str, name: &str, with: &Value) -> Value {
    json!({"score": score, "version": "0.1.0", "name": name, "with": with})
}

/// The Score that declares the same as a resource.
fn as_score(resource: &Value) -> Value {
    let text = |key: &str| resource[key].as_str().expect("a resource has a kind and a name");
    let mut entry = score(text("kind"), text("name"), &resource["spec"]);
    for key in ["dependsOn", "restartOn"] {
        if let Some(names) = resource.get(key) {
            entry[key] = names.clone();
        }
    }
    entry
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

/// A `Process` resource.
pub fn process(name: &str, command: &[&str]) -> Value {
    json!({"kind": "Process", "name": name, "spec": {"command": command}})
}

/// A `Process` resource that runs a script of the shell.
pub fn script(name: &str, script: &str) -> Value {
    process(name, &["sh", "-c", script])
}

/// A `Container` resource with nothing but an image.
pub fn container(name: &str, image: &str) -> Value {
    json!({"kind": "Container", "name": name, "spec": {"image": image, "pullPolicy": "Never"}})
}

/// A `Container` resource that runs a script of the shell.
pub fn container_script(name: &str, image: &str, script: &str) -> Value {
    let mut container = container(name, image);
    container["spec"]["command"] = json!(["sh", "-c", script]);
    container
}
