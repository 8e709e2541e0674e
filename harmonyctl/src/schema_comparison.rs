//! What differs between two JSON Schemas, field by field, and whose documents the readers of each accept.
//!
//! ```text
//! schema ──flatten──▶ path ▶ Field ─┐
//! schema ──flatten──▶ path ▶ Field ─┴─compare──▶ Differences ──▶ Reading, both ways
//! ```
//!
//! Paths are written as in `spec.resources[File].spec.mode`: `[]` is any item of a list, `[File]` one of that kind, `*`
//! any key. Descriptions are not compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Keywords that say nothing about which documents are accepted, or that are walked through.
const NOT_COMPARED: [&str; 12] = [
    "$comment",
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "const",
    "default",
    "description",
    "enum",
    "examples",
    "title",
    "type",
];
/// Keywords that list alternatives.
const ALTERNATIVES: [&str; 2] = ["anyOf", "oneOf"];
/// The deepest that is looked into, in members as well as in references: a schema may be anybody's file.
const MAX_DEPTH: usize = 64;
/// The most fields of a schema that are looked at.
const MAX_FIELDS: usize = 20_000;
/// The most schemas that are looked at in one: each reference counts with all that it leads to.
const MAX_VISITS: usize = 100_000;

/// What a schema says about one place in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Field {
    is_required: bool,
    types: BTreeSet<String>,
    /// As JSON; none where any value of these types will do.
    values: BTreeSet<String>,
    /// What else is asked for: keywords, each with its values as JSON.
    rules: BTreeMap<String, BTreeSet<String>>,
    /// Alternatives that no word tells apart, as JSON. What they say is also noted as if all applied.
    forms: BTreeSet<String>,
    /// The properties that it has.
    members: BTreeSet<String>,
}

/// A place in which two schemas differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) path: String,
    pub(crate) change: Change,
    /// What the first says there, as far as it differs.
    pub(crate) was: Option<String>,
    /// What the second says there, as far as it differs.
    pub(crate) is: Option<String>,
}

/// How the second schema differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has the field, which may be left out.
    Added,
    /// It has the field, which must be there.
    AddedRequired,
    /// It has the field no more, which might be left out.
    Removed,
    /// It has the field no more, which had to be there.
    RemovedRequired,
    /// It accepts all that the first accepts, and more.
    Widened,
    /// It accepts less.
    Narrowed,
    /// It accepts something else, or that cannot be told.
    Changed,
}

/// How readers of one schema take documents of the other: the paths of what they do not take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Any document may be refused because of these.
    pub(crate) refused: Vec<String>,
    /// Documents that use these are refused.
    pub(crate) refused_if_used: Vec<String>,
}

/// Two schemas beside one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// By path.
    pub(crate) differences: Vec<Difference>,
}

impl Comparison {
    /// # Errors
    /// One is too large to be compared, in words for a person.
    pub(crate) fn of(older: &Value, newer: &Value) -> Result<Self, String> {
        let (before, after) = (flattened(older)?, flattened(newer)?);
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut differences: Vec<Difference> = Vec::new();
        let mut whole = BTreeSet::new();
        for path in paths {
            // What is below a field that came or went came or went with it.
            if ancestors(path).any(|ancestor| whole.contains(ancestor)) {
                continue;
            }
            let difference = difference(path, before.get(path), after.get(path));
            if let Some(difference) = difference {
                if difference.was.is_none() || difference.is.is_none() {
                    whole.insert(path.as_str());
                }
                differences.push(difference);
            }
        }
        Ok(Self { differences })
    }

    /// How readers of the older take documents of the newer.
    pub(crate) fn of_newer_by_older(&self) -> Reading {
        self.reading(|change| match change {
            Change::Added | Change::Widened => Some(false),
            Change::AddedRequired | Change::RemovedRequired | Change::Changed => Some(true),
            Change::Removed | Change::Narrowed => None,
        })
    }

    /// How readers of the newer take documents of the older.
    pub(crate) fn of_older_by_newer(&self) -> Reading {
        self.reading(|change| match change {
            Change::Removed | Change::Narrowed => Some(false),
            Change::AddedRequired | Change::RemovedRequired | Change::Changed => Some(true),
            Change::Added | Change::Widened => None,
        })
    }

    /// `refuses` tells whether a change makes a reader refuse any document (true) or those that use it (false).
    fn reading(&self, refuses: impl Fn(Change) -> Option<bool>) -> Reading {
        let mut reading = Reading::default();
        for difference in &self.differences {
            match refuses(difference.change) {
                Some(true) => reading.refused.push(difference.path.clone()),
                Some(false) => reading.refused_if_used.push(difference.path.clone()),
                None => {}
            }
        }
        reading
    }
}

/// The paths of all that a path lies in.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices(['.', '['])
        .map(|(at, _)| &path[..at])
        .chain(path.match_indices(']').map(|(at, _)| &path[..=at]))
        .filter(move |ancestor| *ancestor != path)
}

fn difference(path: &str, before: Option<&Field>, after: Option<&Field>) -> Option<Difference> {
    let path = path.to_owned();
    match (before, after) {
        (None, None) => None,
        (None, Some(after)) => {
            let change = if after.is_required { Change::AddedRequired } else { Change::Added };
            Some(Difference { path, change, was: None, is: Some(after.in_short()) })
        }
        (Some(before), None) => {
            let change = if before.is_required { Change::RemovedRequired } else { Change::Removed };
            Some(Difference { path, change, was: Some(before.in_short()), is: None })
        }
        (Some(before), Some(after)) => {
            let change = match (after.accepts_all_of(before), before.accepts_all_of(after)) {
                (true, true) => return None,
                (true, false) => Change::Widened,
                (false, true) => Change::Narrowed,
                (false, false) => Change::Changed,
            };
            let (was, is) = told(before, after);
            Some(Difference { path, change, was: Some(was), is: Some(is) })
        }
    }
}

impl Field {
    fn in_short(&self) -> String {
        let types: Vec<&str> = self.types.iter().map(String::as_str).filter(|name| *name != "null").collect();
        match (types.as_slice(), self.values.is_empty()) {
            (_, false) => joined(&self.values, "|"),
            ([], true) => "anything".to_owned(),
            (types, true) => types.join("|"),
        }
    }

    /// Whether it is sure that whatever `other` accepts is accepted here; of the place alone, not of what is below.
    fn accepts_all_of(&self, other: &Self) -> bool {
        let any_or = |mine: &BTreeSet<String>, theirs: &BTreeSet<String>| {
            mine.is_empty() || (!theirs.is_empty() && theirs.is_subset(mine))
        };
        let is_as_lax = |(keyword, mine): (&String, &BTreeSet<String>)| {
            other.rules.get(keyword).is_some_and(|theirs| {
                mine == theirs
                    || is_laxer(keyword, mine, theirs)
                    || (ALTERNATIVES.contains(&keyword.as_str()) && has_all_of(mine, theirs, &other.members))
            })
        };
        (other.is_required || !self.is_required)
            && self.has_all_forms_of(other)
            && any_or(&self.types, &other.types)
            && any_or(&self.values, &other.values)
            && self.rules.iter().all(is_as_lax)
    }

    /// Of one form, all that it says is noted: whoever is as lax as that accepts it.
    fn has_all_forms_of(&self, other: &Self) -> bool {
        other.forms.len() < 2 || other.forms.is_subset(&self.forms)
    }
}

/// Whether all of these alternatives are among mine. Mine may also ask that properties are absent which the others,
/// having only these `members`, do not know.
fn has_all_of(mine: &BTreeSet<String>, theirs: &BTreeSet<String>, members: &BTreeSet<String>) -> bool {
    let parsed = |form: &String| serde_json::from_str::<Value>(form).unwrap_or_default();
    let mine: Vec<Value> = mine.iter().map(|form| without_absent(parsed(form), members)).collect();
    theirs.iter().all(|form| mine.contains(&parsed(form)))
}

fn without_absent(mut form: Value, members: &BTreeSet<String>) -> Value {
    if let Some(Value::Object(properties)) = form.get_mut("properties") {
        properties.retain(|key, schema| members.contains(key) || !is_null(schema));
    }
    form
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// Whether a bound leaves more room than another.
fn is_laxer(keyword: &str, mine: &BTreeSet<String>, theirs: &BTreeSet<String>) -> bool {
    let only =
        |texts: &BTreeSet<String>| texts.iter().next().filter(|_| texts.len() == 1)?.parse::<f64>().ok();
    let (Some(mine), Some(theirs)) = (only(mine), only(theirs)) else { return false };
    if keyword.starts_with("max") || keyword == "exclusiveMaximum" {
        return mine >= theirs;
    }
    (keyword.starts_with("min") || keyword == "exclusiveMinimum") && mine <= theirs
}

/// What two fields say, without what both say.
fn told(before: &Field, after: &Field) -> (String, String) {
    let mut parts = [Vec::new(), Vec::new()];
    let mut note = |was: String, is: String| {
        if was != is {
            let [before, after] = &mut parts;
            before.push(was);
            after.push(is);
        }
    };
    let need = |field: &Field| if field.is_required { "required" } else { "optional" }.to_owned();
    note(need(before), need(after));
    let types = |field: &Field| {
        if field.types.is_empty() { "anything".to_owned() } else { joined(&field.types, "|") }
    };
    note(types(before), types(after));
    let values = |field: &Field| {
        if field.values.is_empty() { "any value".to_owned() } else { joined(&field.values, "|") }
    };
    note(values(before), values(after));
    let forms = |field: &Field| match field.forms.len() {
        0 | 1 => "one form".to_owned(),
        _ => format!("any of {}", joined(&field.forms, "|")),
    };
    note(forms(before), forms(after));
    for keyword in before.rules.keys().chain(after.rules.keys()).collect::<BTreeSet<_>>() {
        let rule = |field: &Field| match field.rules.get(keyword) {
            Some(values) => format!("{keyword} {}", joined(values, "|")),
            None => format!("no {keyword}"),
        };
        note(rule(before), rule(after));
    }
    let [before, after] = parts;
    (before.join(", "), after.join(", "))
}

fn joined(words: &BTreeSet<String>, separator: &str) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(separator)
}

/// What a schema says about each place.
///
/// # Errors
/// There is too much of it.
fn flattened(schema: &Value) -> Result<BTreeMap<String, Field>, String> {
    let mut walk =
        Walk { root: schema, fields: BTreeMap::new(), within: Vec::new(), visits: 0, is_too_large: false };
    walk.take_in(schema, "");
    if walk.is_too_large {
        return Err(format!(
            "a schema with more than {MAX_FIELDS} fields, more than {MAX_DEPTH} levels deep or with too many references \
             cannot be compared"
        ));
    }
    Ok(walk.fields)
}

struct Walk<'a> {
    root: &'a Value,
    fields: BTreeMap<String, Field>,
    /// The references that are being followed: one that leads back to itself is followed once.
    within: Vec<&'a str>,
    visits: usize,
    /// Whether there was more than is looked at.
    is_too_large: bool,
}

impl<'a> Walk<'a> {
    fn take_in(&mut self, schema: &'a Value, path: &str) {
        self.visits += 1;
        let depth = self.within.len().max(path.matches(['.', '[']).count());
        self.is_too_large |=
            self.fields.len() >= MAX_FIELDS || self.visits > MAX_VISITS || depth >= MAX_DEPTH;
        if self.is_too_large {
            return;
        }
        // A place at which anything will do is one too.
        let field = self.field(path);
        let Value::Object(keywords) = schema else {
            if *schema == Value::Bool(false) {
                field.rules.entry("false".to_owned()).or_default().insert("false".to_owned());
            }
            return;
        };
        self.note(keywords, path);
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str)
            && !self.within.contains(&reference)
            && let Some(definition) =
                reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer))
        {
            self.within.push(reference);
            self.take_in(definition, path);
            self.within.pop();
        }
        if let Some(properties) = keywords.get("properties").and_then(Value::as_object) {
            for (key, property) in properties {
                self.field(path).members.insert(key.clone());
                self.take_in(property, &member(path, key));
            }
            let required = keywords.get("required").and_then(Value::as_array);
            for key in required.into_iter().flatten().filter_map(Value::as_str) {
                self.field(&member(path, key)).is_required = true;
            }
        }
        if let Some(items) = keywords.get("items") {
            self.take_in(items, &format!("{path}[]"));
        }
        if let Some(values @ Value::Object(_)) = keywords.get("additionalProperties") {
            self.take_in(values, &member(path, "*"));
        }
        for alternative in alternatives(keywords) {
            match word_of(alternative) {
                Some(word) => self.take_in(alternative, &one_of(path, word)),
                None => self.take_in(alternative, path),
            }
        }
    }

    /// Notes what is said about the place itself.
    fn note(&mut self, keywords: &Map<String, Value>, path: &str) {
        let field = self.field(path);
        match keywords.get("type") {
            Some(Value::String(name)) => field.types.extend([name.clone()]),
            Some(Value::Array(names)) => {
                field.types.extend(names.iter().filter_map(Value::as_str).map(str::to_owned))
            }
            _ => {}
        }
        field.values.extend(keywords.get("const").map(ToString::to_string));
        let options = keywords.get("enum").and_then(Value::as_array);
        field.values.extend(options.into_iter().flatten().map(ToString::to_string));
        let walked = |keyword: &str, value: &Value| match keyword {
            "properties" | "items" => true,
            "required" => keywords.contains_key("properties"),
            "additionalProperties" => value.is_object(),
            "anyOf" | "oneOf" => !keywords.contains_key("properties"),
            keyword => NOT_COMPARED.contains(&keyword),
        };
        for (keyword, value) in keywords.iter().filter(|(keyword, value)| !walked(keyword, value)) {
            let rule = field.rules.entry(keyword.clone()).or_default();
            match value {
                Value::Array(forms) if ALTERNATIVES.contains(&keyword.as_str()) => {
                    rule.extend(forms.iter().map(|form| bare(form).to_string()));
                }
                value => rule.extend([value.to_string()]),
            }
        }
        let merged = alternatives(keywords).filter(|form| word_of(form).is_none() && !is_plain(form));
        field.forms.extend(merged.map(|form| bare(form).to_string()));
    }

    fn field(&mut self, path: &str) -> &mut Field {
        self.fields.entry(path.to_owned()).or_default()
    }
}

/// The forms that a value can have. Beside properties, alternatives only say more about those: they are rules.
fn alternatives(keywords: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let lists = ALTERNATIVES.map(|keyword| keywords.get(keyword).and_then(Value::as_array));
    let is_form = !keywords.contains_key("properties");
    lists.into_iter().flatten().flatten().filter(move |_| is_form)
}

/// Whether an alternative is only values, or none.
fn is_plain(alternative: &Value) -> bool {
    is_null(alternative) || ["const", "enum"].iter().any(|keyword| alternative.get(keyword).is_some())
}

/// The schema without what is for people: texts, and not the properties of these names, which are schemas.
fn bare(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => {
            let is_for_people = |keyword: &str, value: &Value| {
                ["$comment", "description", "title"].contains(&keyword) && value.is_string()
            };
            let kept = keywords.iter().filter(|(keyword, value)| !is_for_people(keyword, value));
            Value::Object(kept.map(|(keyword, value)| (keyword.clone(), bare(value))).collect())
        }
        Value::Array(schemas) => Value::Array(schemas.iter().map(bare).collect()),
        value => value.clone(),
    }
}

/// The word by which an alternative is told from the others: the value of a property that has one only.
fn word_of(alternative: &Value) -> Option<&str> {
    let properties = alternative.get("properties")?.as_object()?;
    properties.values().find_map(|property| property.get("const")?.as_str())
}

fn member(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn one_of(path: &str, word: &str) -> String {
    format!("{}[{word}]", path.strip_suffix("[]").unwrap_or(path))
}

#[cfg(test)]
mod tests;
