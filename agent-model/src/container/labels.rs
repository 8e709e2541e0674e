//! Labels of a container, which the runtime keeps and shows.

use std::collections::BTreeMap;

use crate::{
    json_type,
    reader::{Field, Findings, shown},
};

/// What begins the labels by which the agent knows its containers.
const OWN: &str = "io.harmony.";
/// Most labels of one container.
const MAX_LABELS: usize = 64;
/// Longest key, in bytes.
const MAX_KEY: usize = 255;
/// Longest value, in bytes.
const MAX_VALUE: usize = 4096;

/// Reads the labels.
pub(super) fn read(field: Field<'_>, findings: &mut Findings) -> Option<BTreeMap<String, String>> {
    let count = field.value.as_object().map_or(0, serde_json::Map::len);
    if count > MAX_LABELS {
        let message = format!("{count} labels are more than the {MAX_LABELS} that a container may have");
        findings.problem(field.pointer, message);
        return None;
    }
    let mut labels = BTreeMap::new();
    field.map(findings, |key, field, findings| {
        let problem = match field.value.as_str() {
            _ if key.starts_with(OWN) => {
                format!("labels of the form {OWN}… are the agent's own; choose another key")
            }
            _ if !is_key(key) => {
                let key = shown(key);
                format!("{key:?} is no key of a label: use 1 to 255 visible ASCII characters without =")
            }
            None => format!("expected a string, found {}: put it in quotes", json_type(field.value)),
            Some(value) if value.len() > MAX_VALUE => format!("the value is longer than {MAX_VALUE} bytes"),
            Some(value) if value.contains('\0') => "the value has a NUL character".to_owned(),
            Some(value) => {
                labels.insert(key.to_owned(), value.to_owned());
                return;
            }
        };
        findings.problem(field.pointer, problem);
    })?;
    Some(labels)
}

fn is_key(text: &str) -> bool {
    (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'=')
}
