//! A hint at the right name, where a template uses one that is undefined.

use agent_model::did_you_mean;
use minijinja::{Value, value::ValueKind};

/// Most keys of a map that are looked at: each is compared with the unknown name, letter by letter.
const MAX_KEYS: usize = 128;
/// Longest name, in bytes, that is compared or listed.
const MAX_NAME: usize = 64;

/// What a path in a template is written with.
fn in_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

/// Looks through the engine's message for a path that begins in the context and leads nowhere. Says
/// what is there instead.
pub(super) fn hint(message: &str, context: &Value) -> Option<String> {
    message.split(|c| !in_path(c)).find_map(|path| hint_for_path(path, context))
}

fn hint_for_path(path: &str, context: &Value) -> Option<String> {
    let mut names = path.split('.');
    // A name that is not the context's may be one that the template itself has set.
    let mut value = context.get_attr(names.next()?).ok().filter(|value| !value.is_undefined())?;
    for name in names {
        let next = value.get_attr(name).ok()?;
        if next.is_undefined() {
            return hint_for_name(name, &value);
        }
        value = next;
    }
    None
}

/// Only a map's keys are told: what there is in lists and texts may be secret.
fn hint_for_name(name: &str, map: &Value) -> Option<String> {
    if map.kind() != ValueKind::Map || name.len() > MAX_NAME {
        return None;
    }
    let keys: Vec<String> = map.try_iter().ok()?.take(MAX_KEYS).map(|key| key.to_string()).collect();
    let known: Vec<&str> = keys
        .iter()
        .map(String::as_str)
        .filter(|key| !key.is_empty() && key.len() <= MAX_NAME && key.chars().all(in_path))
        .collect();
    (!known.is_empty()).then(|| did_you_mean(name, &known))
}
