//! Sealed values: opened on their device alone, and found nowhere else.

mod command_line;
mod core_dumps;
mod key;
mod lost_key;
mod nowhere;
mod opening;
mod refusing;
mod unchanged;

use agent_model::{SealingKey, status::AgentStatus};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nkeys::XKey;
use serde_json::{Value, json};
use tests::{agent::Agent, document::file, eventually::eventually};

/// What only a sealed value holds. Long, so that no text has it by chance.
const SECRET: &str = "planted-Zq81xV";

/// The key that the device's own agent shows on the device.
async fn key_of(device: &Agent) -> SealingKey {
    eventually("the agent told its key on the device", async || {
        let (code, printed) = device.command(&["status", "-o", "json"]).await;
        let status: Value =
            serde_json::from_str(&printed).map_err(|error| format!("{code:?} {error}: {printed}"))?;
        let key = status["agentInfo"]["sealingKey"].as_str().ok_or(printed.clone())?;
        key.parse().map_err(|error| format!("{error}"))
    })
    .await
}

/// What stands in a document in the place of that text, as the wire contract has it: a new xkey, and its box.
fn sealed(text: &str, to: &SealingKey) -> Value {
    let (sender, recipient) = (XKey::new(), XKey::from_public_key(to.as_str()).unwrap());
    let boxed =
        [sender.public_key().into_bytes(), sender.seal(text.as_bytes(), &recipient).unwrap()].concat();
    json!({"sealed": {"to": to.as_str(), "box": STANDARD.encode(boxed)}})
}

/// A `File` with that content sealed.
fn sealed_file(name: &str, path: &str, content: &Value) -> Value {
    let mut file = file(name, path, "");
    file["spec"]["content"] = content.clone();
    file
}

/// The resource with that variable.
fn with_variable(mut resource: Value, name: &str, value: &Value) -> Value {
    resource["spec"]["env"][name] = value.clone();
    resource
}

/// The message that the refusal of the newest entry has.
fn refusal(status: &AgentStatus) -> &str {
    let accepted = status.condition(agent_model::status::ConditionType::Accepted).unwrap();
    &accepted.message
}

/// The environment of a process that runs.
fn environment(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    String::from_utf8_lossy(&bytes).replace('\0', "\n")
}
