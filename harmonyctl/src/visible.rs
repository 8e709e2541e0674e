//! Text that does to a terminal only what it seems to do.
//!
//! What devices say is shown to people, and a device may be anybody's. Control characters move the
//! cursor, and bidirectional ones reorder what stands beside them: both are written out.

use std::{borrow::Cow, fmt::Write as _};

/// Running text: line feeds and tabs stay.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    written_out(text, |c| is_hidden(c) && !matches!(c, '\n' | '\t'), |c, out| out.extend(c.escape_default()))
}

/// A cell of a table: one line, and as wide as it has characters.
pub(crate) fn cell(text: &str) -> Cow<'_, str> {
    written_out(text, is_hidden, |c, out| match c {
        '\n' | '\t' => out.push(' '),
        c => out.extend(c.escape_default()),
    })
}

/// JSON, which stays the JSON that it was: what is hidden can stand in its strings only, and is
/// escaped there; its line feeds stand outside of them.
pub(crate) fn json(json: &str) -> Cow<'_, str> {
    written_out(
        json,
        |c| is_hidden(c) && c != '\n',
        |c, out| {
            // All of them are below U+10000. Writing to a string cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        },
    )
}

/// Whether there is anything in it that must not reach a terminal.
pub(crate) fn has_hidden(text: &str) -> bool {
    text.contains(|c| is_hidden(c) && !matches!(c, '\n' | '\t'))
}

fn is_hidden(c: char) -> bool {
    let is_bidirectional = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || is_bidirectional
}

fn written_out(
    text: &str,
    is_written_out: impl Fn(char) -> bool,
    write: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.contains(&is_written_out) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_written_out(c) { write(c, &mut out) } else { out.push(c) }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\x1b[2J\r\u{7f}\u{9b}1A\u{202e}\u{2066}\u{200f}\tü\nb";

    #[test]
    fn what_a_device_says_cannot_move_the_cursor_or_reorder_text() {
        assert_eq!(text(HOSTILE), "a\\u{1b}[2J\\r\\u{7f}\\u{9b}1A\\u{202e}\\u{2066}\\u{200f}\tü\nb");
        assert_eq!(cell("a\tb\nc\x1b"), "a b c\\u{1b}");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({HOSTILE: [HOSTILE]});
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&pretty);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(!has_hidden(&shown), "{shown:?}");
        assert!(shown.contains("\\u007f\\u009b1A\\u202e"), "{shown}");
    }
}
