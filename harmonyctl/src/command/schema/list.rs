//! `schema list`: kinds and versions.

use agent_model::Digest;
use serde_json::{Value, json};

use crate::{
    cli::{Format, schema::List},
    failure::Failure,
    notation::Notation,
    outcome::Outcome,
    output::Output,
    schemas::{self, Schema},
    table::{Table, row},
};

/// What the documents are, for a message.
const WHAT: &str = "the schemas";

pub(super) fn run(arguments: &List, output: &mut Output) -> Result<Outcome, Failure> {
    let schemas: Vec<Schema> = schemas::all().collect();
    match arguments.output {
        Format::Table | Format::Wide => {
            let is_wide = arguments.output == Format::Wide;
            let mut header = row(["KIND", "VERSION", "NEWEST"]);
            if is_wide {
                header.extend(row(["DIGEST"]));
            }
            let rows: Vec<_> =
                [header].into_iter().chain(schemas.iter().map(|it| cells(it, is_wide))).collect();
            output.line(Table::new().lines(&rows).join("\n"))?;
        }
        Format::Name => {
            for schema in &schemas {
                output.line(schema.name())?;
            }
        }
        Format::Json => Notation::Json.print_list(WHAT, schemas.iter().map(document), output)?,
        Format::Yaml => Notation::Yaml.print_list(WHAT, schemas.iter().map(document), output)?,
    }
    Ok(Outcome::Done)
}

fn cells(schema: &Schema, is_wide: bool) -> Vec<String> {
    let newest = if schema.is_newest() { "yes" } else { "no" };
    let mut cells = row([schema.kind, &schema.version.to_string(), newest]);
    if is_wide {
        cells.push(digest(schema));
    }
    cells
}

fn document(schema: &Schema) -> Value {
    json!({
        "name": schema.name(),
        "kind": schema.kind,
        "schemaVersion": schema.version.to_string(),
        "newest": schema.is_newest(),
        "digest": digest(schema),
    })
}

fn digest(schema: &Schema) -> String {
    Digest::of_bytes(schema.text.as_bytes()).to_string()
}
