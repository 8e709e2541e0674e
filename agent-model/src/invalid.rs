//! Everything that is wrong with a document, each with the place where it is.

use std::fmt;

use serde_json::Value;

/// One thing wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a JSON pointer (RFC 6901) into the document, for example `/spec/resources/0/kind`.
    pub pointer: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{place}: {}", self.message)
    }
}

/// A document that cannot be lowered, with all its problems: an author should not have to find
/// them one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl Invalid {
    /// A document with a single problem.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { pointer: pointer.into(), message: message.into() }] }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// The JSON pointer of `key` inside of what `parent` points at, escaped as RFC 6901 asks.
pub fn pointer_to(parent: &str, key: impl fmt::Display) -> String {
    let key = key.to_string().replace('~', "~0").replace('/', "~1");
    format!("{parent}/{key}")
}

/// The JSON type of a value, in words that follow "found".
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_what_rfc_6901_reserves() {
        assert_eq!(pointer_to("/spec", "a/b~c"), "/spec/a~1b~0c");
        assert_eq!(pointer_to("", 3), "/3");
    }
}
