//! Reads a JSON value field by field, noting every problem and going on behind it: how every format
//! reads its documents.
//!
//! Documents are read from the JSON value itself and not by deserialising types, because
//! deserialising stops at the first problem and an author should see all of them. A read that fails
//! notes why and yields `None`. Whoever gets the `None` only has to leave something out; that the
//! document is refused is already certain.

use std::str::FromStr;

use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
use semver::Version;
use serde_json::{Map, Value};

use crate::{MaybeSealed, Problem, SealedValue, UnknownKeys, did_you_mean, json_type, pointer_to};

/// Most problems that are listed one by one. The largest document has room for hundreds of
/// thousands, which would fill a small device's memory and be read by nobody.
const MAX_PROBLEMS: usize = 4096;

/// Longest part of an unknown word, in characters, that is shown and compared with the valid ones.
const MAX_SHOWN: usize = 80;

/// What was noted while reading a document: problems, up to a bound, and keys that were ignored.
pub struct Findings {
    problems: Vec<Problem>,
    unlisted: usize,
    ignored: Vec<String>,
    unknown_keys: UnknownKeys,
}

impl Findings {
    /// Nothing yet; `unknown_keys` says which of the two an unknown key is.
    pub fn new(unknown_keys: UnknownKeys) -> Self {
        Self { problems: Vec::new(), unlisted: 0, ignored: Vec::new(), unknown_keys }
    }

    /// Notes a problem at a place of the document, given as JSON pointer.
    pub fn problem(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { pointer: pointer.into(), message: message.into() });
        } else {
            self.unlisted += 1;
        }
    }

    /// Notes problems that were found elsewhere.
    pub(crate) fn extend(&mut self, problems: Vec<Problem>) {
        problems.into_iter().for_each(|problem| self.problem(problem.pointer, problem.message));
    }

    /// The problems, and the pointers of the keys that were ignored.
    pub fn into_parts(mut self) -> (Vec<Problem>, Vec<String>) {
        if self.unlisted > 0 {
            let message = format!("there are {} more problems than these", self.unlisted);
            self.problems.push(Problem { pointer: String::new(), message });
        }
        (self.problems, self.ignored)
    }

    /// Reads a part of the document that has another rule for unknown keys than the rest.
    pub fn within<T>(&mut self, unknown_keys: UnknownKeys, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.unknown_keys, unknown_keys);
        let result = read(self);
        self.unknown_keys = outer;
        result
    }

    fn unknown_key(&mut self, pointer: String, key: &str, known: &[&str]) {
        match self.unknown_keys {
            UnknownKeys::AreIgnored => self.ignored.push(pointer),
            UnknownKeys::AreProblems => {
                let key = shown(key);
                self.problem(pointer, format!("unknown key {key:?}; {}", did_you_mean(&key, known)));
            }
        }
    }
}

/// A value of the document, and where it stands.
pub struct Field<'v> {
    /// The value.
    pub value: &'v Value,
    /// JSON pointer from the document's root.
    pub pointer: String,
}

impl<'v> Field<'v> {
    /// A string.
    pub fn text(&self, findings: &mut Findings) -> Option<&'v str> {
        match self.value {
            Value::String(text) => Some(text),
            _ => self.mistyped("a string", findings),
        }
    }

    /// True or false.
    pub fn boolean(self, findings: &mut Findings) -> Option<bool> {
        match self.value {
            Value::Bool(truth) => Some(*truth),
            _ => self.mistyped("true or false", findings),
        }
    }

    /// A value as `plain` reads it, or the same sealed to a device.
    pub(crate) fn maybe_sealed<T>(
        self,
        findings: &mut Findings,
        plain: impl FnOnce(Self, &mut Findings) -> Option<T>,
    ) -> Option<MaybeSealed<T>> {
        if self.value.get("sealed").is_some() {
            SealedValue::read(self, findings).map(MaybeSealed::Sealed)
        } else {
            plain(self, findings).map(MaybeSealed::Plain)
        }
    }

    /// A string where somebody may want to have it sealed, and cannot.
    pub(crate) fn unsealed(&self, findings: &mut Findings) -> Option<&'v str> {
        if self.value.get("sealed").is_some() {
            let message =
                "only the value of a variable and the \"content\" of a File can be sealed; give a string";
            findings.problem(&self.pointer, message);
            return None;
        }
        self.text(findings)
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        self,
        what: &str,
        all: &[T],
        spelling: fn(T) -> &'static str,
        findings: &mut Findings,
    ) -> Option<T> {
        let text = self.text(findings)?;
        let chosen = all.iter().copied().find(|word| spelling(*word) == text);
        if chosen.is_none() {
            let given = shown(text);
            let words: Vec<&str> = all.iter().copied().map(spelling).collect();
            findings
                .problem(self.pointer, format!("{given:?} is no {what}; {}", did_you_mean(&given, &words)));
        }
        chosen
    }

    /// A string that spells one of the model's types.
    pub fn parsed<T: FromStr<Err: ToString>>(self, findings: &mut Findings) -> Option<T> {
        let text = self.text(findings)?;
        self.parse(text, findings)
    }

    /// `text`, which is how this field's value is written, as one of the model's types.
    pub fn parse<T: FromStr<Err: ToString>>(&self, text: &str, findings: &mut Findings) -> Option<T> {
        text.parse().map_err(|error: T::Err| findings.problem(&self.pointer, error.to_string())).ok()
    }

    /// A list; items that cannot be read are left out.
    pub fn list<T>(
        self,
        findings: &mut Findings,
        mut item: impl FnMut(Field<'v>, &mut Findings) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::Array(values) = self.value else { return self.mistyped("an array", findings) };
        let place = |i| pointer_to(&self.pointer, i);
        let items = values.iter().enumerate().map(|(i, value)| Field { value, pointer: place(i) });
        Some(items.filter_map(|field| item(field, findings)).collect())
    }

    /// An object whose keys are the author's own.
    pub(crate) fn map(
        self,
        findings: &mut Findings,
        mut entry: impl FnMut(&'v str, Field<'v>, &mut Findings),
    ) -> Option<()> {
        let Value::Object(entries) = self.value else { return self.mistyped("an object", findings) };
        for (key, value) in entries {
            entry(key, Field { value, pointer: pointer_to(&self.pointer, key) }, findings);
        }
        Some(())
    }

    /// An object. `read` asks for every field it knows; the others are unknown.
    pub fn object<T>(
        self,
        findings: &mut Findings,
        read: impl FnOnce(&mut ObjectReader<'v, '_>) -> Option<T>,
    ) -> Option<T> {
        let Value::Object(fields) = self.value else { return self.mistyped("an object", findings) };
        let mut object = ObjectReader { pointer: self.pointer, fields, known: Vec::new(), findings };
        let result = read(&mut object);
        object.report_unknown_keys();
        result
    }

    /// Notes that something else was expected here.
    pub fn mistyped<T>(&self, expected: &str, findings: &mut Findings) -> Option<T> {
        findings.problem(&self.pointer, format!("expected {expected}, found {}", json_type(self.value)));
        None
    }
}

/// Hands out the fields of one object and remembers which were asked for.
pub struct ObjectReader<'v, 'f> {
    /// JSON pointer from the document's root.
    pub pointer: String,
    fields: &'v Map<String, Value>,
    known: Vec<&'static str>,
    /// What was noted so far.
    pub findings: &'f mut Findings,
}

impl<'v> ObjectReader<'v, '_> {
    /// The field, if it is given. As in Kubernetes, null counts as left out.
    pub fn take(&mut self, key: &'static str) -> Option<Field<'v>> {
        self.known.push(key);
        let value = self.fields.get(key).filter(|value| !value.is_null())?;
        Some(Field { value, pointer: pointer_to(&self.pointer, key) })
    }

    /// The field as `read` reads it; `None` when it is left out or cannot be read.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Field<'v>, &mut Findings) -> Option<T>,
    ) -> Option<T> {
        let field = self.take(key)?;
        read(field, self.findings)
    }

    /// As [`optional`](Self::optional), of a field that came with version `since` of the format. In a document that is
    /// `written` against an older one it is a problem: readers of that version do not know it either.
    pub fn optional_since<T>(
        &mut self,
        key: &'static str,
        since: &Version,
        written: &Version,
        read: impl FnOnce(Field<'v>, &mut Findings) -> Option<T>,
    ) -> Option<T> {
        if written >= since {
            return self.optional(key, read);
        }
        if self.fields.contains_key(key) {
            self.known.push(key);
            let message = format!(
                "{key:?} came with version {since}, and the document is written against {written}: write \
                 schemaVersion {since}"
            );
            self.findings.problem(pointer_to(&self.pointer, key), message);
        }
        None
    }

    /// As [`optional`](Self::optional); leaving it out is a problem.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Field<'v>, &mut Findings) -> Option<T>,
    ) -> Option<T> {
        let Some(field) = self.take(key) else {
            self.findings.problem(&self.pointer, format!("{key:?} is missing"));
            return None;
        };
        read(field, self.findings)
    }

    fn report_unknown_keys(self) {
        for key in self.fields.keys().filter(|key| !self.known.contains(&key.as_str())) {
            self.findings.unknown_key(pointer_to(&self.pointer, key), key, &self.known);
        }
    }
}

/// `text`, which is in that field, decoded from standard base64 with padding.
pub(crate) fn decoded_base64(field: &Field<'_>, text: &str, findings: &mut Findings) -> Option<Vec<u8>> {
    let problem = match STANDARD.decode(text) {
        Ok(bytes) => return Some(bytes),
        Err(DecodeError::InvalidByte(at, b'=')) => format!("= at offset {at} is not at the end"),
        Err(DecodeError::InvalidByte(at, _)) => {
            let character = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
            format!("{character:?} at offset {at} is none of A-Z a-z 0-9 + /")
        }
        Err(DecodeError::InvalidLength(length)) => {
            format!("{length} characters make no whole number of bytes; is it cut off?")
        }
        Err(DecodeError::InvalidLastSymbol(at, _)) => {
            format!("the last character, at offset {at}, has bits to spare; is it cut off?")
        }
        Err(DecodeError::InvalidPadding) => "it must be filled up with = to a multiple of four".to_owned(),
    };
    findings.problem(&field.pointer, format!("not standard base64: {problem}"));
    None
}

/// The beginning of a text, of a length fit for a message.
pub fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}
