//! Text that does to a terminal only what it seems to do.
//!
//! What devices say is shown to people, and a device may be anybody's. Control characters move the
//! cursor, bidirectional ones reorder what stands beside them, and those without a width make two
//! different texts look the same: all are written out.

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

/// As [`cell`], and at most so many characters as they are shown.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    let shown = cell(text);
    match shown.char_indices().nth(most) {
        None => shown.into_owned(),
        Some(_) => shown.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// JSON, which stays the JSON that it was: what is hidden can stand in its strings only, and is
/// escaped there; its line feeds stand outside of them.
pub(crate) fn json(json: &str) -> Cow<'_, str> {
    written_out(
        json,
        |c| is_hidden(c) && c != '\n',
        |c, out| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
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
    c.is_control() || is_bidirectional || is_without_width(c)
}

/// What terminals show as nothing, or as blank as a space: Unicode 16's `Default_Ignorable_Code_Point`, its separators
/// of lines and paragraphs, the anchors of annotations, and the blank pattern of Braille. Marks that combine with the
/// character before are seen, and stay.
fn is_without_width(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2028}'..='\u{2029}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
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
    fn what_is_clipped_counts_as_it_is_shown() {
        assert_eq!(clipped("abc", 3), "abc");
        assert_eq!(clipped("abcd", 3), "ab…");
        assert_eq!(clipped("a\u{200b}bc", 10), "a\\u{200b}…");
    }

    #[test]
    fn what_has_no_width_is_seen_and_marks_on_letters_stay() {
        assert_eq!(cell("SN\u{200b}-1\u{feff}\u{ad}"), "SN\\u{200b}-1\\u{feff}\\u{ad}");
        assert_eq!(text("a\u{3164}b\u{2028}c\u{e0041}"), "a\\u{3164}b\\u{2028}c\\u{e0041}");
        assert_eq!(text("u\u{308} 漢字 😀"), "u\u{308} 漢字 😀");
    }

    #[test]
    fn json_stays_the_same_json() {
        let hostile = format!("{HOSTILE}\u{200b}\u{e0041}");
        let value = serde_json::json!({hostile.as_str(): [hostile]});
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&pretty);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(!has_hidden(&shown), "{shown:?}");
        assert!(shown.contains("\\u007f\\u009b1A\\u202e"), "{shown}");
        assert!(shown.contains("\\u200b\\udb40\\udc41"), "{shown}");
    }
}
