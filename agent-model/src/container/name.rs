//! The names that runtimes give to what they keep: one alphabet for volumes and networks.

/// Longest name, in bytes.
const MAX_LEN: usize = 64;

/// Whether a text is `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`.
pub(super) fn is_name(text: &str) -> bool {
    (1..=MAX_LEN).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}
