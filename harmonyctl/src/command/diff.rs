//! `diff`: what `apply` would change.
//!
//! Both sides are written the same way first, without what `apply` fills in anew each time, so
//! that only what an author has changed is shown.

use agent_model::{Digest, SEALED};
use fleet::{DesiredEntry, Roster, Selection};
use serde_json::Value;
use similar::TextDiff;

use super::{all_valid, connect, read_or_not};
use crate::{
    cli::{Connection, Files},
    failure::Failure,
    outcome::Outcome,
    output::Output,
    reading, words,
};

/// As much of the digest of a box is shown, in hex digits.
const BOX_SHOWN: usize = 12;

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Files,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let manifests = all_valid(reading::read(&arguments.filename)?, output)?;
    let fleet = connect(connection).await?;
    let selection = Selection::of(manifests.iter().map(|manifest| &manifest.agent));
    let roster = Roster::read(&fleet, selection).await?;
    let mut outcome = Outcome::Done;
    for manifest in &manifests {
        let stored = roster.entry(&manifest.agent).and_then(|entry| entry.document.as_ref());
        if stored.is_some_and(|stored| stored.intent == Some(manifest.intent())) {
            continue;
        }
        let old = stored.map(|stored| normalised(&stored.envelope)).transpose()?.unwrap_or_default();
        let document = manifest.complete(agent_model::Generation::FIRST, agent_model::Timestamp::UNIX_EPOCH);
        let new = normalised(&document)?;
        let before = header(&manifest.agent, roster.entry(&manifest.agent));
        read_or_not(output.line(unified(&old, &new, &before, &manifest.place())))?;
        outcome = outcome.and(Outcome::Differs);
    }
    Ok(outcome)
}

fn header(agent: &agent_model::AgentId, entry: Option<&DesiredEntry>) -> String {
    match entry.and_then(|entry| entry.document.as_ref()) {
        None => format!("agent/{agent} (no document)"),
        Some(document) => {
            format!("agent/{agent} (generation {})", words::generation(document.glance.generation))
        }
    }
}

fn unified(old: &str, new: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(before, after).to_string()
}

/// A document as YAML with its keys in order. What is no JSON is shown as it is.
fn normalised(document: &[u8]) -> Result<String, Failure> {
    let Ok(mut value) = serde_json::from_slice::<Value>(document) else {
        return Ok(String::from_utf8_lossy(document).into_owned());
    };
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generation");
        metadata.remove("issuedAt");
    }
    veil(&mut value);
    serde_saphyr::to_string(&value)
        .map_err(|error| Failure::Format { what: "the document", source: Box::new(error) })
}

/// Puts a short word in the place of each sealed value: whose it is, and what tells one box from another.
fn veil(value: &mut Value) {
    let sealed = value.get("sealed").filter(|_| value.as_object().is_some_and(|fields| fields.len() == 1));
    let parts = sealed.and_then(|sealed| Some((sealed.get("to")?.as_str()?, sealed.get("box")?.as_str()?)));
    if let Some((to, boxed)) = parts {
        let digest = Digest::of_bytes(boxed.as_bytes()).hex();
        *value = format!("{SEALED} to {to}, box {}", &digest[..BOX_SHOWN]).into();
        return;
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(veil),
        Value::Array(items) => items.iter_mut().for_each(veil),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_author_changed_is_shown() {
        let old = br#"{"spec": {"a": 1, "b": [1, 2]}, "metadata": {"generation": 7, "issuedAt": "x", "name": "n"}}"#;
        let new = br#"{"metadata": {"name": "n", "generation": 1}, "spec": {"b": [1, 3], "a": 1}}"#;
        let diff = unified(&normalised(old).unwrap(), &normalised(new).unwrap(), "old", "new");
        let changed: Vec<&str> =
            diff.lines().filter(|line| line.starts_with(['-', '+'])).map(str::trim_end).collect();
        assert_eq!(changed.len(), 4, "{diff}");
        assert_eq!(changed[..2], ["--- old", "+++ new"]);
        assert!(changed[2].starts_with('-') && changed[2].ends_with('2'), "{diff}");
        assert!(changed[3].starts_with('+') && changed[3].ends_with('3'), "{diff}");
    }

    #[test]
    fn of_a_sealed_value_only_whose_it_is_and_that_it_is_another_is_shown() {
        let document = |boxed: &str| {
            let sealed = serde_json::json!({"sealed": {"to": "XABC", "box": boxed}});
            serde_json::json!({"spec": {"resources": [{"env": {"TOKEN": sealed}}]}}).to_string()
        };
        let shown = |boxed: &str| normalised(document(boxed).as_bytes()).unwrap();
        assert!(shown("AAAA").contains("<sealed> to XABC, box ") && !shown("AAAA").contains("AAAA"));
        assert_ne!(shown("AAAA"), shown("BBBB"));
    }

    #[test]
    fn an_entry_that_is_no_json_is_shown_as_it_is() {
        assert_eq!(normalised(b"reboot now").unwrap(), "reboot now");
    }
}
