//! `schema`: the versions of documents, here and on the devices.

mod diff;
mod list;
mod print;
mod skew;

use crate::{
    cli::{Connection, schema::SchemaCommand},
    failure::Failure,
    outcome::Outcome,
    output::Output,
};

pub(super) async fn run(
    connection: &Connection,
    command: &SchemaCommand,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    match command {
        SchemaCommand::List(arguments) => list::run(arguments, output),
        SchemaCommand::Print(arguments) => print::run(arguments, output),
        SchemaCommand::Diff(arguments) => diff::run(arguments, output),
        SchemaCommand::Skew(arguments) => skew::run(connection, arguments, output).await,
    }
}
