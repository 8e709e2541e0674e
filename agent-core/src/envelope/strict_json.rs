//! JSON as this system reads it from strangers: one meaning only.
//!
//! Beyond RFC 8259 a document must be UTF-8, must not repeat a key in any object, and must not
//! nest deeper than [`MAX_NESTING`]. Where a repeated key is allowed, two readers may see two
//! documents, one of which nobody signed (RFC 8259, section 4, leaves the choice open).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How many arrays and objects may lie within one another, the outermost included.
pub const MAX_NESTING: usize = 64;

/// Why bytes are not strict JSON.
#[derive(Debug, thiserror::Error)]
pub enum StrictJsonError {
    /// Not UTF-8.
    #[error("not UTF-8: the byte at offset {offset} belongs to no character")]
    NotUtf8 {
        /// Where the first bad byte is.
        offset: usize,
    },
    /// Not JSON, a repeated key, or too deep.
    #[error("{problem}")]
    NotStrictJson {
        /// What is wrong, with line and column.
        problem: String,
    },
}

/// Reads one JSON value and nothing after it.
///
/// # Errors
/// The first departure from strict JSON, with its place.
pub fn parse(bytes: &[u8]) -> Result<Value, StrictJsonError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| StrictJsonError::NotUtf8 { offset: error.valid_up_to() })?;
    let not_strict = |error: serde_json::Error| StrictJsonError::NotStrictJson { problem: error.to_string() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = StrictValue { depth: 0 }.deserialize(&mut deserializer).map_err(not_strict)?;
    deserializer.end().map_err(not_strict)?;
    Ok(value)
}

/// Reads a value that already lies within `depth` others.
#[derive(Clone, Copy)]
struct StrictValue {
    depth: usize,
}

impl StrictValue {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_NESTING {
            return Err(E::custom(format_args!("nested deeper than {MAX_NESTING} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {:?} is given twice", shortened(&key))));
            }
            let value = entries.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

fn shortened(key: &str) -> String {
    key.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problem(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_key_may_stand_only_once_however_it_is_written_and_wherever_it_lies() {
        assert_eq!(problem(r#"{"a":1,"a":1}"#), "the key \"a\" is given twice at line 1 column 10");
        assert!(problem(r#"{"a":1,"\u0061":2}"#).contains("given twice"));
        assert!(problem(r#"{"x":[{"y":{"b":1,"b":2}}]}"#).contains("given twice"));
        assert!(parse(br#"[{"a":1},{"a":1}]"#).is_ok());
    }

    #[test]
    fn sixty_four_levels_are_read_and_sixty_five_are_not() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(64).as_bytes()).is_ok());
        assert!(problem(&nested(65)).contains("nested deeper than 64 levels"));
        assert!(problem(&"[".repeat(500_000)).contains("nested deeper than 64 levels"));
        assert!(problem(&format!("{}1{}", r#"{"a":"#.repeat(65), "}".repeat(65))).contains("nested deeper"));
    }

    #[test]
    fn what_is_not_exactly_one_json_text_is_refused() {
        for text in ["", " ", "{", "{}{}", "{} x", "{'a':1}", "[1,]", "NaN", "\u{feff}{}", "1e999", "// x\n1"]
        {
            assert!(parse(text.as_bytes()).is_err(), "{text:?} was read");
        }
        assert_eq!(
            parse(b"{\"a\":\"\xff\"}").unwrap_err().to_string(),
            "not UTF-8: the byte at offset 6 belongs to no character"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_what_serde_json_reads(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = parse(&bytes) {
                prop_assert_eq!(Some(value), serde_json::from_slice(&bytes).ok());
            }
        }
    }
}
