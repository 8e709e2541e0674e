//! `schema diff`: what differs between two schemas.

use std::path::Path;

use agent_core::dispatcher::are_of_one_line;
use semver::Version;
use serde_json::{Value, json};

use crate::{
    cli::{ConvertFormat, schema::Diff},
    command::read_or_not,
    failure::Failure,
    notation::Notation,
    outcome::Outcome,
    output::Output,
    reading,
    schema_comparison::{Change, Comparison, Difference, Reading},
    schemas,
    table::{Table, row},
    words::{self, NOTHING},
};

/// One of the two.
struct Side {
    /// As it was asked for; the newest of a kind by its version.
    name: String,
    /// Where they are known, what it is a schema of. A file says so in its title: `KIND VERSION`.
    kind_and_version: Option<(String, Version)>,
    schema: Value,
}

pub(super) fn run(arguments: &Diff, output: &mut Output) -> Result<Outcome, Failure> {
    let [older, newer] = [side(&arguments.older)?, side(&arguments.newer)?];
    let comparison = Comparison::of(&older.schema, &newer.schema).map_err(Failure::Usage)?;
    let are_same = comparison.differences.is_empty() && why_strangers(&older, &newer).is_none();
    let printed = match arguments.output {
        ConvertFormat::Json => print(Notation::Json, &older, &newer, &comparison, output),
        ConvertFormat::Yaml => print(Notation::Yaml, &older, &newer, &comparison, output),
        ConvertFormat::Table if are_same => {
            output.message(format_args!("{} and {} accept the same.", older.name, newer.name));
            Ok(())
        }
        ConvertFormat::Table => table(&older, &newer, &comparison, output),
    };
    read_or_not(printed)?;
    Ok(if are_same { Outcome::Done } else { Outcome::Differs })
}

/// A name is `KIND` or `KIND@VERSION`; whatever has a `/` or a `.` before its version is a file.
fn side(name: &str) -> Result<Side, Failure> {
    let kind = name.split('@').next().unwrap_or_default();
    if !kind.contains(['/', '.']) && name != "-" {
        let schema = schemas::named(name).map_err(Failure::Usage)?;
        let parsed = serde_json::from_str(schema.text)
            .map_err(|error| Failure::Format { what: "the schema", source: Box::new(error) })?;
        let kind_and_version = Some((schema.kind.to_owned(), schema.version.clone()));
        return Ok(Side { name: schema.name(), kind_and_version, schema: parsed });
    }
    let text = reading::text_of(Path::new(name))?;
    let schema: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("{name} is no JSON Schema: {error}")))?;
    if !schema.is_object() {
        return Err(Failure::Usage(format!("{name} is no JSON Schema: it is no object")));
    }
    let title = schema.get("title").and_then(Value::as_str).and_then(|title| title.split_once(' '));
    let kind_and_version = title.and_then(|(kind, version)| Some((kind.to_owned(), version.parse().ok()?)));
    Ok(Side { name: name.to_owned(), kind_and_version, schema })
}

fn table(older: &Side, newer: &Side, comparison: &Comparison, output: &mut Output) -> Result<(), Failure> {
    let mut rows = vec![row(["PATH", "CHANGE", "WAS", "IS"])];
    rows.extend(comparison.differences.iter().map(|difference| {
        let side = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
        vec![
            place(difference),
            word(difference.change).to_owned(),
            side(&difference.was),
            side(&difference.is),
        ]
    }));
    if !comparison.differences.is_empty() {
        output.line(Table::new().lines(&rows).join("\n"))?;
        output.line("")?;
    }
    if let Some(why) = why_strangers(older, newer) {
        return output.line(why);
    }
    output.line(sentence(older, newer, &comparison.of_newer_by_older()))?;
    output.line(sentence(newer, older, &comparison.of_older_by_newer()))
}

fn place(difference: &Difference) -> String {
    if difference.path.is_empty() { "(the document)".to_owned() } else { difference.path.clone() }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::AddedRequired => "added, required",
        Change::Removed => "removed",
        Change::RemovedRequired => "removed, was required",
        Change::Widened => "widened",
        Change::Narrowed => "narrowed",
        Change::Changed => "changed",
    }
}

/// Why no reader of one accepts documents of the other, whatever is in them.
fn why_strangers(older: &Side, newer: &Side) -> Option<String> {
    let ((kind, version), (other_kind, other)) =
        (older.kind_and_version.as_ref()?, newer.kind_and_version.as_ref()?);
    let why = match (kind == other_kind, are_of_one_line(version, other)) {
        (true, true) => return None,
        (true, false) => "they are of different version lines",
        (false, _) => "they are of different kinds",
    };
    Some(format!("No reader of {} or {} accepts documents of the other: {why}.", older.name, newer.name))
}

fn sentence(reader: &Side, of: &Side, reading: &Reading) -> String {
    let (reader, of) = (&reader.name, &of.name);
    match (reading.refused.as_slice(), reading.refused_if_used.as_slice()) {
        ([], []) => format!("A reader of {reader} accepts every document of {of}."),
        ([], used) => format!(
            "A reader of {reader} accepts documents of {of} but for what only {of} accepts: {}.",
            words::some_of(used)
        ),
        (refused, _) => {
            format!("A reader of {reader} may refuse any document of {of}: {}.", words::some_of(refused))
        }
    }
}

fn print(
    notation: Notation,
    older: &Side,
    newer: &Side,
    comparison: &Comparison,
    output: &mut Output,
) -> Result<(), Failure> {
    let differences = comparison.differences.iter().map(|difference| {
        json!({"path": difference.path, "change": format!("{:?}", difference.change),
               "was": difference.was, "is": difference.is})
    });
    let strangers = why_strangers(older, newer);
    let reading = |reader: &Side, of: &Side, reading: Reading| {
        let accepts =
            match (strangers.is_some() || !reading.refused.is_empty(), reading.refused_if_used.is_empty()) {
                (true, _) => "MayRefuseAny",
                (false, true) => "All",
                (false, false) => "AllThatDoNotUse",
            };
        json!({"reader": reader.name, "documentsOf": of.name, "accepts": accepts,
               "refused": reading.refused, "refusedIfUsed": reading.refused_if_used})
    };
    let readings = [
        reading(older, newer, comparison.of_newer_by_older()),
        reading(newer, older, comparison.of_older_by_newer()),
    ];
    let document = json!({"differences": differences.collect::<Vec<_>>(), "readers": readings});
    output.line(notation.written("the differences", &document)?)
}
