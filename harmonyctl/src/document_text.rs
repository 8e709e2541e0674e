//! Documents as text that people edit and that this program reads again.

use agent_core::authoring::{AuthoredDocument, read_documents};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{failure::Failure, reading, visible};

/// Keys that stand first in an object, in this order. The others follow by the alphabet.
const FIRST: [&str; 15] = [
    "apiVersion",
    "kind",
    "schemaVersion",
    "minSchemaVersion",
    "metadata",
    "spec",
    "score",
    "version",
    "name",
    "dependsOn",
    "restartOn",
    "with",
    "folder",
    "path",
    "command",
];
/// Keys that stand last, because what they hold may be long.
const LAST: [&str; 4] = ["content", "contentBase64", "template", "files"];

/// A document, or a list, as YAML without a line feed at its end. Where YAML cannot hold it so that a terminal
/// shows what is there and that the same is read again, it is JSON, which is YAML too.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn yaml(document: &Value) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(&Ordered(document)).map_err(|error| unwritable(Box::new(error)))?;
    let text = text.trim_end_matches('\n');
    if !visible::has_hidden(text) && is_read_of(text, document) {
        return Ok(text.to_owned());
    }
    json(document)
}

/// Whether the text holds just this, as it is: a list counts as itself, not as its items.
fn is_read_of(text: &str, document: &Value) -> bool {
    read_again(text)
        .is_ok_and(|read| matches!(read.as_slice(), [read] if Some(read.fields()) == document.as_object()))
}

/// A document as JSON that is YAML too.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn json(document: &Value) -> Result<String, Failure> {
    let text =
        serde_json::to_string_pretty(&Ordered(document)).map_err(|error| unwritable(Box::new(error)))?;
    // The two that JSON takes as they are, and YAML only escaped.
    Ok(visible::json(&text).replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff"))
}

/// Makes sure that these documents are what is read of the text when it is printed.
///
/// # Errors
/// Why they are not.
pub(crate) fn check_reading(text: &str, documents: &[Value]) -> Result<(), Failure> {
    let read: Vec<AuthoredDocument> =
        read_again(text)?.into_iter().flat_map(reading::items_of_list).collect();
    let expected = documents.iter().map(Value::as_object);
    if read.iter().map(|read| Some(read.fields())).eq(expected) {
        return Ok(());
    }
    Err(unwritable("they would not be the same when they are read again".into()))
}

fn read_again(text: &str) -> Result<Vec<AuthoredDocument>, Failure> {
    // With the line feed that printing it adds.
    read_documents(&format!("{text}\n"), "read again").map_err(|error| unwritable(error.into()))
}

fn unwritable(source: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    Failure::Format { what: "the documents", source }
}

/// A value whose keys are written in an order that people read well.
struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(key, _)| rank(key));
                serializer.collect_map(fields.into_iter().map(|(key, value)| (key, Ordered(value))))
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

fn rank(key: &str) -> usize {
    let place = |keys: &[&str]| keys.iter().position(|known| *known == key);
    place(&FIRST).or_else(|| place(&LAST).map(|place| FIRST.len() + 1 + place)).unwrap_or(FIRST.len())
}

#[cfg(test)]
mod tests {
    use std::slice;

    use proptest::{collection, prelude::*};
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_come_in_reading_order_and_long_texts_as_blocks() {
        let document = json!({
            "apiVersion": "harmony/v1", "kind": "Score", "metadata": {"labels": {"site": "north"}, "name": "a"},
            "spec": {"scores": [{"name": "motd", "score": "File", "version": "0.1.0", "with": {
                "content": "one\ntwo\n", "mode": "0644", "owner": 0, "path": "/etc/motd"}}]},
        });
        let expected = "\
apiVersion: harmony/v1
kind: Score
metadata:
  name: a
  labels:
    site: north
spec:
  scores:
  - score: File
    version: \"0.1.0\"
    name: motd
    with:
      path: /etc/motd
      mode: \"0644\"
      owner: 0
      content: |
        one
        two";
        assert_eq!(yaml(&document).unwrap(), expected);
        let keys = ["\"apiVersion\"", "\"kind\"", "\"name\"", "\"labels\"", "\"spec\"", "\"score\""];
        let json = json(&document).unwrap();
        assert!(keys.map(|key| json.find(key)).is_sorted(), "{json}");
    }

    #[test]
    fn a_list_comes_out_as_yaml_too() {
        let list = json!({"kind": "List", "items": [{"name": "a"}, {"name": "b"}]});
        let text = yaml(&list).unwrap();
        assert!(text.starts_with("kind: List\n"), "{text}");
        assert!(yaml(&json!({"kind": "List", "items": []})).unwrap().starts_with("kind"));
    }

    #[test]
    fn more_documents_than_are_read_at_once_are_noticed() {
        let documents = vec![json!({"a": 1}); 10_001];
        let text = vec!["a: 1"; 10_001].join("\n---\n");
        assert!(check_reading(&text, &documents).is_err());
        assert!(check_reading(&text[..10], &documents[..1]).is_err());
        assert!(check_reading(&text[..4], &documents[..1]).is_ok());
    }

    #[test]
    fn texts_that_yaml_or_a_terminal_would_alter_come_out_as_they_are() {
        for text in [
            "a\r\nb\r\n",
            "\u{1b}[2J",
            "\0",
            "a\u{202e}b\n",
            "two\n\n\n",
            "\n\nx",
            "  indented\nless\n",
            "\ttab\n\t\n",
            " \n",
            "\n",
            "trailing \nspace\n",
            "---\n...\n",
            "\u{feff}bom",
            "\u{2028}\u{85}\u{a0}",
            "\u{fffe}\u{ffff}\u{1fffe}\u{10ffff}\u{fdd0}",
            "\u{7f}\u{80}\u{9f}",
            "x: |\n  y\n",
            "yes",
            "0644",
            "~",
            "1e3",
            "# no comment\n",
        ] {
            let document = json!({"a": {"content": text}, "b": [text, {text: text}]});
            for written in [yaml(&document).unwrap(), json(&document).unwrap()] {
                assert!(check_reading(&written, slice::from_ref(&document)).is_ok(), "{text:?}: {written}");
                assert_eq!(visible::text(&written), written, "{text:?}");
            }
        }
    }

    /// Any JSON.
    fn value() -> impl Strategy<Value = Value> {
        let text = || "(?s).{0,40}|[ \t\r\n#:a<-]{0,12}";
        let leaf = prop_oneof![
            4 => text().prop_map(Value::from),
            1 => any::<f64>().prop_map(Value::from),
            1 => any::<i64>().prop_map(Value::from),
            1 => any::<u64>().prop_map(Value::from),
            1 => any::<bool>().prop_map(Value::from),
            1 => Just(Value::Null),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                collection::btree_map(text(), inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(value in value()) {
            let document = json!({"spec": value});
            for written in [yaml(&document).unwrap(), json(&document).unwrap()] {
                prop_assert!(check_reading(&written, slice::from_ref(&document)).is_ok(), "{written}");
                prop_assert_eq!(visible::text(&written), written.as_str());
            }
        }
    }
}
