//! `harmony-agent status`: how this device stands, for whoever stands in front of it.

use std::fmt::Write as _;

use agent_core::{
    state_dir::StateLayout,
    status::snapshot::{DuplicateIdentity, Snapshot},
};
use agent_model::{
    SealingKey,
    status::{AgentStatus, ConditionStatus, RolledBack},
};

use crate::{
    CommandError, Exit,
    cli::{StatusArgs, StatusOutput},
    say,
};

pub(crate) fn status(args: &StatusArgs) -> Result<Exit, CommandError> {
    let layout = StateLayout::of(args.state.find()?);
    let running = layout.is_locked().map_err(|error| {
        CommandError::failed(format!(
            "cannot tell whether an agent runs on {}: {error}; is this its --state-dir, and may this user read it?",
            layout.path().display()
        ))
    })?;
    let text = match args.output {
        StatusOutput::Json => Snapshot::status_as_written(&layout)
            .map(|status| serde_json::to_string_pretty(&status).map(|text| text + "\n"))
            .transpose()
            .map_err(CommandError::failed)?,
        StatusOutput::Table => Snapshot::read(&layout).map(|snapshot| table(&snapshot, running)),
    };
    let text = text.ok_or_else(|| {
        let folder = layout.path().display();
        CommandError::failed(match running {
            true => format!("the agent of {folder} has not reported yet; ask again in a moment"),
            false => format!(
                "no agent has reported in {folder}; is this its --state-dir, and may this user read it?"
            ),
        })
    })?;
    say(&text);
    Ok(Exit::Done)
}

fn table(snapshot: &Snapshot, running: bool) -> String {
    let status = &snapshot.status;
    let mut text = String::new();
    let agent = if running { "running" } else { "not running; this is what it said last" };
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<11} {value}");
    };
    line("Device", status.agent.to_string());
    line("Agent", format!("{} {agent}", status.agent_info.version));
    line("Sealing key", status.agent_info.sealing_key.as_ref().map_or("none", SealingKey::as_str).to_owned());
    line("Phase", format!("{:?}", status.phase));
    line("Accepted", generation(status.accepted.as_ref().map(|accepted| accepted.generation)));
    line("Applied", generation(status.applied.as_ref().map(|applied| applied.generation)));
    line("Ready", format!("{}/{}", status.summary.ready, status.summary.total));
    if let Some(duplicate) = &snapshot.duplicate_identity {
        let (since, remedy) = (duplicate.since, DuplicateIdentity::REMEDY);
        line("WARNING", format!("DuplicateIdentity since {since}: another device has this name; {remedy}"));
    }
    text.push_str(&status.rolled_back.as_ref().map(rolled_back).unwrap_or_default());
    text.push_str(&conditions(status));
    text.push_str(&resources(status));
    text
}

fn generation(generation: Option<agent_model::Generation>) -> String {
    generation.map_or_else(|| "none".to_owned(), |generation| format!("generation {generation}"))
}

/// The document from which the device went back, and the last lines of what was not ready.
fn rolled_back(late: &RolledBack) -> String {
    let RolledBack { generation, digest: _, at, reason, message, resources } = late;
    let mut text =
        format!("\nROLLED BACK from generation {generation} at {at}\n{}\n", with_message(reason, message));
    for resource in resources {
        let name = format!("{}/{}", resource.kind, resource.name);
        let why = with_message(&resource.reason, &resource.message);
        let _ = writeln!(text, "{name} {:?} {why}", resource.state);
        for line in resource.log_tail.iter().flat_map(|log| log.lines()) {
            let _ = writeln!(text, "  | {line}");
        }
    }
    text
}

fn conditions(status: &AgentStatus) -> String {
    let mut text = String::from("\nCONDITION    STATUS   REASON\n");
    for condition in &status.conditions {
        let name = format!("{:?}", condition.condition_type);
        let holds = match condition.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        };
        let _ =
            writeln!(text, "{name:<12} {holds:<8} {}", with_message(&condition.reason, &condition.message));
    }
    text
}

fn resources(status: &AgentStatus) -> String {
    if status.resources.is_empty() {
        return String::new();
    }
    let width = status.resources.iter().map(|resource| resource.kind.len() + resource.name.len() + 1).max();
    let width = width.unwrap_or_default().max("RESOURCE".len());
    let mut text = format!("\n{:<width$} STATE    REASON\n", "RESOURCE");
    for resource in &status.resources {
        let name = format!("{}/{}", resource.kind, resource.name);
        let state = format!("{:?}", resource.state);
        let _ =
            writeln!(text, "{name:<width$} {state:<8} {}", with_message(&resource.reason, &resource.message));
    }
    text
}

fn with_message(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::StateFolder;

    #[test]
    fn a_state_folder_that_cannot_be_looked_into_is_named() {
        // Nobody can look into a file, not even root, whom no permission keeps out.
        let file = tempfile::NamedTempFile::new().unwrap();
        let state = StateFolder { config: None, state_dir: Some(file.path().to_owned()) };
        let error = status(&StatusArgs { state, output: StatusOutput::Table }).unwrap_err().to_string();
        assert!(error.contains(file.path().to_str().unwrap()), "{error}");
        assert!(error.contains("may this user read it?"), "{error}");
    }
}
