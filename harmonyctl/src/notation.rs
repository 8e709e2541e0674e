//! Documents as text: JSON or YAML, one or a `List` of many.

use agent_model::status::API_VERSION;
use serde_json::Value;

use crate::{failure::Failure, output::Output, visible};

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notation {
    Json,
    Yaml,
}

impl Notation {
    /// The document over several lines.
    ///
    /// # Errors
    /// It cannot be written; `what` it is goes into the message.
    pub(crate) fn written(self, what: &'static str, document: &Value) -> Result<String, Failure> {
        let format = |source| Failure::Format { what, source };
        // YAML's notations do not all have a way to write out what is hidden. JSON does, and is YAML.
        if self == Self::Yaml && !has_hidden_strings(document) {
            return serde_saphyr::to_string(document).map_err(|error| format(Box::new(error)));
        }
        let json = serde_json::to_string_pretty(document).map_err(|error| format(Box::new(error)))?;
        Ok(visible::json(&json).into_owned())
    }

    /// Prints one document by itself where one was asked for, and a `List` otherwise; nothing, where that one is missing.
    ///
    /// # Errors
    /// As [`print_list`](Self::print_list).
    pub(crate) fn print(
        self,
        what: &'static str,
        mut documents: impl ExactSizeIterator<Item = Value>,
        is_single: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        if !is_single {
            return self.print_list(what, documents, output);
        }
        documents.try_for_each(|document| output.line(self.written(what, &document)?))
    }

    /// Prints a `List` item by item: those of a large fleet together would fill the memory.
    ///
    /// # Errors
    /// As [`written`](Self::written), or the output cannot be written.
    pub(crate) fn print_list(
        self,
        what: &'static str,
        documents: impl ExactSizeIterator<Item = Value>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let count = documents.len();
        let (head, foot) = self.list_frame(count == 0);
        output.line(head)?;
        for (i, document) in documents.enumerate() {
            output.line(self.list_item(&self.written(what, &document)?, i + 1 == count))?;
        }
        foot.map_or(Ok(()), |foot| output.line(foot))
    }

    /// What stands before and after the items of a `List`.
    fn list_frame(self, is_empty: bool) -> (String, Option<&'static str>) {
        match (self, is_empty) {
            (Self::Yaml, true) => (format!("apiVersion: {API_VERSION}\nkind: List\nitems: []"), None),
            (Self::Yaml, false) => (format!("apiVersion: {API_VERSION}\nkind: List\nitems:"), None),
            (Self::Json, true) => (
                format!(
                    "{{\n  \"apiVersion\": \"{API_VERSION}\",\n  \"kind\": \"List\",\n  \"items\": []\n}}"
                ),
                None,
            ),
            (Self::Json, false) => (
                format!("{{\n  \"apiVersion\": \"{API_VERSION}\",\n  \"kind\": \"List\",\n  \"items\": ["),
                Some("  ]\n}"),
            ),
        }
    }

    /// A document as an item of a `List`. Indenting it changes nothing: JSON has no line feeds within
    /// its strings, and YAML counts indentation from the item on.
    fn list_item(self, document: &str, is_last: bool) -> String {
        let document = document.trim_end_matches('\n').replace('\n', "\n    ");
        match self {
            Self::Yaml => format!("  - {document}"),
            Self::Json if is_last => format!("    {document}"),
            Self::Json => format!("    {document},"),
        }
    }
}

fn has_hidden_strings(value: &Value) -> bool {
    match value {
        Value::String(text) => visible::has_hidden(text),
        Value::Array(items) => items.iter().any(has_hidden_strings),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| visible::has_hidden(key) || has_hidden_strings(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_with_hidden_characters_stays_readable_in_every_notation() {
        let status = json!({"message": "a\u{7f}\u{202e}b\n\tc\u{200b}\u{e0041}", "\u{9b}": 1});
        for notation in [Notation::Json, Notation::Yaml] {
            let written = notation.written("it", &status).unwrap();
            assert_eq!(visible::text(&written), written, "{notation:?}");
            let read: Value = serde_saphyr::from_str(&written).unwrap();
            assert_eq!(read, status, "{notation:?}");
        }
        assert!(Notation::Yaml.written("it", &json!({"a": "b\tc"})).unwrap().starts_with("a:"));
    }

    #[test]
    fn a_list_holds_its_documents_as_they_are() {
        let text = |text: &str| json!({"message": text, "resources": [{"details": {}}]});
        let documents = [text("plain"), text("two\n\n  lines\n"), text("a\u{202e}b"), text(" # \t")];
        for notation in [Notation::Json, Notation::Yaml] {
            for count in [0, 1, 4] {
                let (head, foot) = notation.list_frame(count == 0);
                let mut lines = vec![head];
                for (i, document) in documents[..count].iter().enumerate() {
                    lines
                        .push(notation.list_item(&notation.written("it", document).unwrap(), i + 1 == count));
                }
                lines.extend(foot.map(str::to_owned));
                let read: Value = serde_saphyr::from_str(&lines.join("\n")).unwrap();
                let expected =
                    json!({"apiVersion": API_VERSION, "kind": "List", "items": documents[..count]});
                assert_eq!(read, expected, "{notation:?} of {count}");
            }
        }
    }
}
