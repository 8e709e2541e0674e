//! What there is of code in a template, found out without parsing it.
//!
//! The engine's parser calls itself for every sign of `{{ ----1 }}` and every `elif`, and looks for
//! constants in `{{ x+1+1+1 }}` anew from every `+`, before any fuel is counted. What bounds
//! both is how long a tag is, and how much code a template has; text between tags costs nothing.
//!
//! Nor does it count what it does with data in one instruction, such as comparing two lists. So
//! templates have the data they are given, with nothing to make more of it: a few lines that make
//! lists of lists, or multiply one, would take more time and memory than there is.

use std::ops::Range;

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
    #[error("line {line}: templates make no {what}; put it into values")]
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

/// Where the tags are that hold code: neither comments nor what stands between `raw` and `endraw`. It
/// follows the engine's own tokenizer with the delimiters that cannot be changed here. A tag that is
/// never closed goes on to the end.
fn tags(template: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + template[at..].find('{')?;
            let closing = match template.as_bytes().get(start + 1) {
                Some(b'{') => b"}}",
                Some(b'%') => b"%}",
                Some(b'#') => {
                    let body = after_sign(template, start + 2);
                    at = body + template[body..].find("#}")? + 2;
                    continue;
                }
                _ => {
                    at = start + 1;
                    continue;
                }
            };
            let body = after_sign(template, start + 2);
            let raw = if closing == b"%}" { basic_tag(template, body, "raw") } else { None };
            if let Some(text) = raw {
                at = end_of_raw(template, text)?;
                continue;
            }
            at = end_of_tag(template.as_bytes(), body, closing);
            return Some(start..at);
        }
    })
}

/// Behind the sign that says what becomes of white space, if there is one.
fn after_sign(template: &str, at: usize) -> usize {
    at + usize::from(template[at..].starts_with(['-', '+']))
}

/// Behind the end of a tag that has nothing but this word in it.
fn basic_tag(template: &str, at: usize, word: &str) -> Option<usize> {
    let blank = |c: char| c.is_ascii_whitespace();
    let rest = template[at..].trim_start_matches(blank).strip_prefix(word)?.trim_start_matches(blank);
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some(template.len() - rest.len())
}

fn end_of_raw(template: &str, mut at: usize) -> Option<usize> {
    loop {
        at += template[at..].find("{%")? + 2;
        if let Some(end) = basic_tag(template, after_sign(template, at), "endraw") {
            return Some(end);
        }
    }
}

/// Behind the closing delimiter, which counts outside of strings and brackets only.
fn end_of_tag(template: &[u8], mut at: usize, closing: &[u8]) -> usize {
    let mut open_brackets = 0_usize;
    while let Some(byte) = template.get(at) {
        if open_brackets == 0 && template[at..].starts_with(closing) {
            return at + closing.len();
        }
        at = match byte {
            b'"' | b'\'' => end_of_string(template, at),
            _ => at + 1,
        };
        match byte {
            b'(' | b'[' | b'{' => open_brackets += 1,
            // The engine goes no further than to one that closes nothing.
            b')' | b']' | b'}' => open_brackets = open_brackets.saturating_sub(1),
            _ => {}
        }
    }
    template.len()
}

fn end_of_string(template: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = template.get(at) {
        match byte {
            b'\\' => at += 2,
            quote if *quote == template[start] => return at + 1,
            _ => at += 1,
        }
    }
    template.len()
}

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
            b'{' => return Some("maps"),
            b'[' if !follows_operand(&tag[2..at]) => return Some("lists"),
            b'(' if !follows_operand(&tag[2..at]) => open.push(Bracket::Group),
            b'[' | b'(' => open.push(Bracket::Suffix),
            b']' | b')' => _ = open.pop(),
            b',' => match open.last() {
                Some(Bracket::Suffix) => {}
                None if has_bindings => {}
                _ => return Some("tuples"),
            },
            b'*' => return Some("products, which a list may be multiplied by"),
            // The sign for white space stands at the edges.
            b'+' if at > 2 && at + 1 < end && !precedes_number(&tag[at + 1..]) => {
                return Some("sums but of something and a number, written in this order");
            }
            _ => {}
        }
        at += 1;
    }
    None
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
    use minijinja::Environment;
    use proptest::{collection, prelude::*};

    use super::*;

    /// A piece of a template: what surrounds a variable, which is code in some of them only.
    fn piece() -> impl Strategy<Value = (&'static str, &'static str)> {
        prop::sample::select(vec![
            ("{{ ", " }}"),
            ("{{- ", "-}}"),
            ("{{", "}}"),
            ("{{ '}}' ~ ", " }}"),
            (r#"{{ "\"}}{#" ~ "#, r#" ~ '\\' }}"#),
            ("{{ {'a': {'b': ", "}}}}"),
            ("{{ [", " % 2] }}"),
            ("{% if ", " %}{% endif %}"),
            ("{%+ set a = ", " %%}"),
            ("{%- set a = '%}' ~ ", " -%}"),
            ("{# {{ \" ", " #}"),
            ("{#- {% raw %}", "-#}"),
            ("{#}", "#}"),
            ("{% raw %}{{ ' ", " {% endraw %}"),
            ("{%- raw -%} {% end ", " {%- endraw +%}"),
            ("{%raw%}{#", "{%endraw%}"),
            ("{ % ", " %} }} \" '"),
            ("{", "{"),
            ("}} #} ü", "\n"),
        ])
    }

    proptest! {
        #[test]
        fn no_code_of_the_engine_is_overlooked(pieces in collection::vec(piece(), 1..8)) {
            let variable = |i: usize| format!("variable{i}");
            let template: String = pieces
                .iter()
                .enumerate()
                .map(|(i, (before, after))| format!("{before}{}{after}", variable(i)))
                .collect();
            let environment = Environment::new();
            // What it cannot parse it does not run.
            if let Ok(parsed) = environment.template_from_str(&template) {
                let found = code(&template).concat();
                for name in parsed.undeclared_variables(false) {
                    prop_assert!(found.contains(&name), "{name} of {template:?} is not in {found:?}");
                }
            }
        }
    }

    fn code(template: &str) -> Vec<&str> {
        tags(template).map(|tag| &template[tag]).collect()
    }

    #[test]
    fn tags_are_found_where_the_engine_finds_them() {
        for (template, expected) in [
            ("a { b } {", &[] as &[&str]),
            ("a {{ b }} {%- if c -%} d", &["{{ b }}", "{%- if c -%}"]),
            (r#"{{ "}}" ~ '\'}}' }} b"#, &[r#"{{ "}}" ~ '\'}}' }}"#]),
            (r#"{{ {"a": {"b": 1}}}} b"#, &[r#"{{ {"a": {"b": 1}}}}"#]),
            ("{% set a = 5 %%} {{ b }}", &["{% set a = 5 %%}", "{{ b }}"]),
            ("{# {{ a \" #} {{ b }}", &["{{ b }}"]),
            ("{#}} #} {{ b }}", &["{{ b }}"]),
            ("{% raw %} {{ \" {% endraw -%} {{ b }}", &["{{ b }}"]),
            ("{%- raw -%} {% endraw {%+ endraw %} {{ b }}", &["{{ b }}"]),
            ("{% rawness %} {{ b }}", &["{% rawness %}", "{{ b }}"]),
            ("ä {{ ü }} {{ b", &["{{ ü }}", "{{ b"]),
            (r#"{{ "a\"#, &[r#"{{ "a\"#]),
            ("{{ ) }} b", &["{{ ) }}"]),
        ] {
            assert_eq!(code(template), expected, "{template}");
        }
    }

    #[test]
    fn what_makes_data_is_told_from_what_uses_it() {
        for (tag, what) in [
            ("{{ [a] }}", Some("lists")),
            ("{% if a in ['b'] %}", Some("lists")),
            ("{{ f([a]) }}", Some("lists")),
            ("{{ {'a': b} }}", Some("maps")),
            ("{{ (a, b) }}", Some("tuples")),
            ("{{ a, b }}", Some("tuples")),
            ("{% set a = b, b %}", Some("tuples")),
            ("{% for a in (b, b) %}", Some("tuples")),
            ("{{ a if b else (c, c) }}", Some("tuples")),
            ("{{ a * 3 }}", Some("products, which a list may be multiplied by")),
            ("{{ a + b }}", Some("sums but of something and a number, written in this order")),
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
