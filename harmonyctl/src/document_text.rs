//! Documents as text that people edit and that this program reads again.

use agent_core::authoring::read_documents;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{failure::Failure, visible};

/// Keys that stand first in an object, in this order. The others follow by the alphabet.
const FIRST: [&str; 14] = [
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
];
/// Keys that stand last, because what they hold may be long.
const LAST: [&str; 4] = ["content", "contentBase64", "template", "files"];

/// A document as YAML without a line feed at its end. Where YAML cannot hold it so that a terminal
/// shows what is there and that the same is read again, it is JSON, which is YAML too.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn yaml(document: &Value) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(&Ordered(document)).map_err(|error| unwritable(Box::new(error)))?;
    let text = text.trim_end_matches('\n');
    if !visible::has_hidden(text) && reads_back(text, document) {
        return Ok(text.to_owned());
    }
    json(document)
}

/// A document as JSON.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn json(document: &Value) -> Result<String, Failure> {
    let text =
        serde_json::to_string_pretty(&Ordered(document)).map_err(|error| unwritable(Box::new(error)))?;
    let text = visible::json(&text);
    if !reads_back(&text, document) {
        return Err(unwritable("it would not be the same when it is read again".into()));
    }
    Ok(text.into_owned())
}

fn unwritable(source: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    Failure::Format { what: "the document", source }
}

fn reads_back(text: &str, document: &Value) -> bool {
    // With the line feed that printing it adds.
    let read = read_documents(&format!("{text}\n"), "");
    read.is_ok_and(|read| match read.as_slice() {
        [read] => Some(read.fields()) == document.as_object(),
        _ => false,
    })
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
            "yes",
            "0644",
            "~",
            "1e3",
            "# no comment\n",
        ] {
            let document = json!({"a": {"content": text}, "b": [text, {text: text}]});
            for written in [yaml(&document).unwrap(), json(&document).unwrap()] {
                assert!(reads_back(&written, &document), "{text:?}: {written}");
                assert_eq!(visible::text(&written), written, "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_texts_are_written_are_read_again(texts in collection::vec("(?s).{0,40}|[ \t\r\n#:a-]{0,12}", 0..4)) {
            let list: Vec<Value> = texts.iter().map(|text| json!({"content": text})).collect();
            let document = json!({"spec": list});
            for written in [yaml(&document).unwrap(), json(&document).unwrap()] {
                prop_assert!(reads_back(&written, &document), "{written}");
            }
        }
    }
}
