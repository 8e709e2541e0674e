//! `schema print`: a JSON Schema as it is committed.

use crate::{cli::schema::Print, failure::Failure, outcome::Outcome, output::Output, schemas};

pub(super) fn run(arguments: &Print, output: &mut Output) -> Result<Outcome, Failure> {
    output.line(schemas::named(&arguments.name).map_err(Failure::Usage)?.text)?;
    Ok(Outcome::Done)
}
