//! Where the code of a template is, found without parsing it.

use std::ops::Range;

/// Where the tags are that hold code: neither comments nor what stands between `raw` and `endraw`. It
/// follows the engine's own tokenizer with the delimiters that cannot be changed here. A tag that is
/// never closed goes on to the end.
pub(super) fn tags(template: &str) -> impl Iterator<Item = Range<usize>> {
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

/// Behind the closing quote of the string that begins here.
pub(super) fn end_of_string(template: &[u8], start: usize) -> usize {
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
}
