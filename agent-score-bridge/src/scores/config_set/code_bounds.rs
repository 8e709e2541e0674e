//! How much code a template may have, and what that code may not do: judged without parsing it.
//!
//! The engine's parser calls itself for every sign of `{{ ----1 }}` and every `elif`, and looks for
//! constants in `{{ x+1+1+1 }}` anew from every `+`, before any fuel is counted. Both are bounded by
//! the length of a tag and by how much code a template has; text between tags costs nothing.
//!
//! Nor does the engine count what it does with data in one instruction, such as comparing two lists.
//! So templates use the data they are given and cannot make more of it: a few lines that make lists
//! of lists, or multiply one, would take more time and memory than there is.

use super::tags::{end_of_string, tags};

/// Longest tag, in bytes: the deepest recursion while one is parsed.
pub(super) const MAX_TAG: usize = 2048;
/// Most code of a template, in bytes: the longest chain of `elif`.
pub(super) const MAX_CODE: usize = 16 * 1024;

/// How many pairs of a tag's bytes are compiled for one step of work.
const PAIRS_PER_STEP: usize = 256;

/// Why a template is not even compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error(
        "line {line}: the tag that begins here has more than {MAX_TAG} bytes; is it closed? Data belongs in values"
    )]
    LongTag { line: usize },
    #[error(
        "its tags have more than {MAX_CODE} bytes altogether; make several files of it, or move data to values"
    )]
    ManyTags,
    #[error("line {line}: a template cannot make {what}; put it into values")]
    MakesData { line: usize, what: &'static str },
}

/// The work that it takes to compile this template.
pub(super) fn compile_work(template: &str) -> Result<u64, Unfit> {
    let (mut code, mut pairs) = (0, 0);
    for tag in tags(template) {
        let line = || 1 + template[..tag.start].matches('\n').count();
        if tag.len() > MAX_TAG {
            return Err(Unfit::LongTag { line: line() });
        }
        if let Some(what) = made_data(&template.as_bytes()[tag.clone()]) {
            return Err(Unfit::MakesData { line: line(), what });
        }
        code += tag.len();
        pairs += tag.len() * tag.len();
        if code > MAX_CODE {
            return Err(Unfit::ManyTags);
        }
    }
    Ok((pairs / PAIRS_PER_STEP) as u64)
}

/// What a `[` may make.
const LIST: &str = "a list of anything but texts and numbers, as it could hold another list twice";
/// What a `*` may make.
const PRODUCT: &str = "a product, as a list could be multiplied";
/// What a `+` may make.
const SUM: &str = "a sum without a number behind the +, as two lists could be added";

/// What a tag makes data with, if it does.
fn made_data(tag: &[u8]) -> Option<&'static str> {
    let end = tag.len().saturating_sub(2);
    let (mut at, mut open) = (2, Vec::new());
    let first_word =
        tag[2..].iter().copied().skip_while(|byte| !is_word(*byte)).take_while(|byte| is_word(*byte));
    let has_bindings = matches!(&first_word.collect::<Vec<u8>>()[..], b"for" | b"with");
    while at < end {
        match tag[at] {
            b'"' | b'\'' => {
                at = end_of_string(tag, at);
                continue;
            }
            b'{' => return Some("a map"),
            b'[' if !follows_operand(&tag[2..at]) => match end_of_constants(tag, at) {
                Some(end) => {
                    at = end;
                    continue;
                }
                None => return Some(LIST),
            },
            b'(' if !follows_operand(&tag[2..at]) => open.push(Bracket::Group),
            b'[' | b'(' => open.push(Bracket::Suffix),
            b']' | b')' => _ = open.pop(),
            b',' => match open.last() {
                Some(Bracket::Suffix) => {}
                None if has_bindings => {}
                _ => return Some("a tuple"),
            },
            b'*' => return Some(PRODUCT),
            // The sign for white space stands at the edges.
            b'+' if at > 2 && at + 1 < end && !precedes_number(&tag[at + 1..]) => {
                return Some(SUM);
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Behind a list that begins here and holds texts and numbers only, as in `a in ["b", "c"]`.
fn end_of_constants(tag: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at = match tag.get(at)? {
            b']' => return Some(at + 1),
            b'"' | b'\'' => end_of_string(tag, at),
            b',' | b'.' | b'-' => at + 1,
            byte if byte.is_ascii_digit() || byte.is_ascii_whitespace() => at + 1,
            _ => return None,
        };
    }
}

enum Bracket {
    /// Around arguments or an index.
    Suffix,
    /// Around an expression.
    Group,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether this ends with something that can be called or indexed, or may be: a name, not a word
/// that expressions follow.
fn follows_operand(code: &[u8]) -> bool {
    const EXPRESSIONS_FOLLOW: [&[u8]; 12] = [
        b"and",
        b"autoescape",
        b"do",
        b"elif",
        b"else",
        b"filter",
        b"if",
        b"in",
        b"is",
        b"not",
        b"or",
        b"set",
    ];
    let code = code.trim_ascii_end();
    let word = code.iter().rposition(|byte| !is_word(*byte)).map_or(0, |at| at + 1);
    match &code[word..] {
        b"" => matches!(code.last(), Some(b')' | b']' | b'"' | b'\'')),
        word => !EXPRESSIONS_FOLLOW.contains(&word),
    }
}

fn precedes_number(code: &[u8]) -> bool {
    code.trim_ascii_start().first().is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_data_is_told_from_what_uses_it() {
        for (tag, what) in [
            ("{{ [a] }}", Some(LIST)),
            ("{% if a in ['b', \"]\", -1.5] %}", None),
            ("{% if a in ['b', c] %}", Some(LIST)),
            ("{% if a in [['b']] %}", Some(LIST)),
            ("{% if a in ['b' %}", Some(LIST)),
            ("{{ f([a]) }}", Some(LIST)),
            ("{{ {'a': b} }}", Some("a map")),
            ("{{ (a, b) }}", Some("a tuple")),
            ("{{ a, b }}", Some("a tuple")),
            ("{% set a = b, b %}", Some("a tuple")),
            ("{% for a in (b, b) %}", Some("a tuple")),
            ("{{ a if b else (c, c) }}", Some("a tuple")),
            ("{{ a * 3 }}", Some(PRODUCT)),
            ("{{ a + b }}", Some(SUM)),
            ("{{ a[0].b['c'][1:] }}", None),
            ("{{ f(a, (b)) | g(1, x=2) }}", None),
            ("{%+ for k, v in a|items +%}", None),
            ("{%- with a = 1, b = 2 -%}", None),
            ("{{ '[*+{,' ~ (a - 1) + 1 }}", None),
            ("{{+ a +}}", None),
        ] {
            assert_eq!(made_data(tag.as_bytes()), what, "{tag}");
        }
    }

    #[test]
    fn text_costs_nothing_and_a_long_tag_more_than_many_short_ones() {
        assert_eq!(compile_work(&"text { } \n".repeat(50_000)), Ok(0));
        let long = compile_work(&format!("{{{{ {} }}}}", "1".repeat(1000))).unwrap();
        let short = compile_work(&"{{ 1111 }}".repeat(100)).unwrap();
        assert!(long > 10 * short, "{long} and {short}");
    }

    #[test]
    fn too_much_code_is_said_with_its_line() {
        let long = format!("a\nb\n{{{{ {} }}}}", "1".repeat(MAX_TAG));
        assert_eq!(compile_work(&long), Err(Unfit::LongTag { line: 3 }));
        assert_eq!(compile_work(&"{{ 1111 }}".repeat(MAX_CODE / 10 + 1)), Err(Unfit::ManyTags));
    }
}
