//! A hint at the right name, where a template uses one that is undefined.

use agent_model::did_you_mean;
use minijinja::Value;

/// Looks through the engine's message for a path that begins in the context and leads nowhere. Says
/// what is there instead.
pub(super) fn hint(message: &str, context: &Value) -> Option<String> {
    let in_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    message.split(|c| !in_path(c)).find_map(|path| hint_for_path(path, context))
}

fn hint_for_path(path: &str, context: &Value) -> Option<String> {
    let mut names = path.split('.');
    // A name that is not the context's may be one that the template itself has set.
    let mut value = context.get_attr(names.next()?).ok().filter(|value| !value.is_undefined())?;
    for name in names {
        let next = value.get_attr(name).ok()?;
        if next.is_undefined() {
            let known: Vec<String> = value.try_iter().ok()?.map(|key| key.to_string()).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            return (!known.is_empty()).then(|| did_you_mean(name, &known));
        }
        value = next;
    }
    None
}
