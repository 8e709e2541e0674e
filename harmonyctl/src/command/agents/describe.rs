//! `agents describe`: the registry's entry, and what those claim who ask for the id.

use agent_model::Timestamp;
use fleet::enrollment::Asking;

use super::{
    connect, ids,
    known::Known,
    list::{labels, print_documents, print_names},
};
use crate::{
    cli::{Connection, Format, agents::Described},
    command::not_found,
    failure::Failure,
    notation::Notation,
    outcome::Outcome,
    output::Output,
    table::{Table, row},
    words::{self, NOTHING},
};

pub(super) async fn run(
    connection: &Connection,
    arguments: &Described,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let ids = ids(&arguments.agents)?;
    let fleet = connect(connection, None).await?;
    let all = Known::read_all(&fleet, output).await?;
    let mut outcome = Outcome::Done;
    let mut found = Vec::with_capacity(ids.len());
    for id in &ids {
        match all.iter().find(|known| known.id == *id) {
            Some(known) => found.push(known),
            None => outcome = outcome.and(not_found(output, id)),
        }
    }
    match arguments.output {
        Format::Table | Format::Wide => {
            for (i, known) in found.iter().enumerate() {
                if i > 0 {
                    output.line("")?;
                }
                output.line(description(known, Timestamp::now()).join("\n"))?;
            }
        }
        Format::Name => print_names(found, output)?,
        Format::Json => print_documents(Notation::Json, found, ids.len() == 1, output)?,
        Format::Yaml => print_documents(Notation::Yaml, found, ids.len() == 1, output)?,
    }
    Ok(outcome)
}

fn description(known: &Known, now: Timestamp) -> Vec<String> {
    let registration = known.registration.clone().unwrap_or_default();
    let key = registration.public_key.as_ref().map_or(NOTHING, |key| key.as_str());
    let mut rows = vec![
        row(["Name:", known.id.as_str()]),
        row(["State:", &format!("{:?}", registration.state)]),
        row(["Key:", key]),
        row(["Approved:", &registration.approved_at.map_or_else(|| NOTHING.to_owned(), |at| when(at, now))]),
        row(["Labels:", &labels(known)]),
    ];
    rows.extend(registration.annotations.iter().map(|(name, value)| row([&format!("{name}:"), value])));
    let mut lines = Table::new().lines(&rows);
    if known.asking.is_empty() {
        lines.extend([String::new(), "Requests: <none>".to_owned()]);
    }
    for asking in &known.asking {
        lines.push(String::new());
        lines.push(format!("Request with the key {}:", asking.key));
        lines.extend(request(known, asking, now).iter().map(|line| format!("  {line}")));
    }
    lines
}

/// What is known first, in columns of its own: what is claimed has names and texts of any length.
fn request(known: &Known, asking: &Asking, now: Timestamp) -> Vec<String> {
    let mut rows =
        vec![row(["First asked:", &when(asking.since, now)]), row(["Last asked:", &when(asking.last, now)])];
    let caution = known.caution(asking);
    if !caution.is_empty() {
        rows.insert(0, row(["Caution:", caution]));
    }
    let claims: Vec<_> =
        asking.facts.iter().map(|(name, value)| row([&format!("Claims {name}:"), value])).collect();
    [Table::new().lines(&rows), Table::new().lines(&claims)].concat()
}

fn when(time: Timestamp, now: Timestamp) -> String {
    format!("{} ago, at {time}", words::age(now.since(time)))
}
