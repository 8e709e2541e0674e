//! What YAML's parser says, in words for whoever wrote the text. It offers no others than those for programmers.

use agent_core::authoring::{AuthoredDocument, AuthoringError, read_documents};

/// Keys that stand once in a document, at its top.
const TOP: [&str; 6] = ["apiVersion", "kind", "schemaVersion", "minSchemaVersion", "metadata", "spec"];

/// The documents of a text.
///
/// # Errors
/// As [`read_documents`].
pub(crate) fn documents_of(text: &str, source: &str) -> Result<Vec<AuthoredDocument>, AuthoringError> {
    read_documents(text, source).map_err(|error| match error {
        AuthoringError::Unreadable { text_source, problem } => {
            AuthoringError::Unreadable { text_source, problem: in_words(&problem) }
        }
        other => other,
    })
}

/// Each line by itself: the parser says what is wrong above the lines of the text, and again below the one that it is in.
fn in_words(problem: &str) -> String {
    let problem = problem.strip_prefix("error: ").unwrap_or(problem);
    problem.split('\n').map(line_in_words).collect::<Vec<_>>().join("\n")
}

fn line_in_words(line: &str) -> String {
    if let Some((place, rest)) = line.split_once("duplicate mapping key")
        && let Some(key) = rest.strip_suffix(", set DuplicateKeyPolicy in Options if acceptable")
    {
        let key = key.trim_start_matches(": ");
        let hint = if TOP.contains(&key) { "; between two documents there is a line ---" } else { "" };
        return format!("{place}the key {key:?} is there twice{hint}");
    }
    if let Some((place, breach)) = line.split_once("budget breached: ") {
        let what = breach.split([' ', '{']).next().unwrap_or_default();
        let why = match what {
            "Documents" => "it holds too many documents",
            "Depth" => "it is nested deeper than any document may be",
            // A text as long as it likes may hold as much as stands there.
            _ => "it holds too much, once its aliases (*name) are replaced by what they stand for: use fewer",
        };
        return format!("{place}{why}");
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        documents_of(text, "f.yaml").unwrap_err().to_string()
    }

    #[test]
    fn a_key_that_is_there_twice_is_named_and_where_another_document_begins_what_is_missing() {
        let document = "kind: A\nmetadata: {name: a}\n";
        let two = said(&document.repeat(2));
        assert!(
            two.starts_with("f.yaml: line 3 column 1: the key \"kind\" is there twice; between two"),
            "{two}"
        );
        assert!(two.contains("a line ---") && !two.contains("Policy"), "{two}");
        let within = said("metadata:\n  name: a\n  name: b\n");
        assert!(
            within.contains("the key \"name\" is there twice\n") && !within.contains("---\n"),
            "{within}"
        );
        assert!(!within.contains("Policy"), "{within}");
    }

    #[test]
    fn a_text_that_is_nested_too_deep_is_not_blamed_on_aliases() {
        let told = said(&format!("a: {}1{}\n", "[".repeat(100), "]".repeat(100)));
        assert!(
            told.contains("nested deeper") && !told.contains("alias") && !told.contains("budget"),
            "{told}"
        );
    }

    #[test]
    fn aliases_that_blow_up_a_text_are_told_as_such() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for pair in names.windows(2) {
            let uses = vec![format!("*{}", pair[0]); 10].join(", ");
            text.push_str(&format!("{0}: &{0} [{uses}]\n", pair[1]));
        }
        let told = said(&text);
        assert!(told.contains("its aliases (*name)") && !told.contains("budget"), "{told}");
    }

    #[test]
    fn what_else_the_parser_says_stays_as_it_is() {
        assert!(said("a: [").contains("unclosed bracket"));
        assert_eq!(
            said("x"),
            "f.yaml, document 1: expected an object with apiVersion, kind, metadata and spec"
        );
    }
}
