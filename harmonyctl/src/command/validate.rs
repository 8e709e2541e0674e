//! `validate`: everything that can be found wrong with documents without a server.

use super::read_or_not;
use crate::{
    cli::Files,
    failure::Failure,
    outcome::Outcome,
    output::Output,
    reading::{self, Reading},
};

pub(crate) fn run(arguments: &Files, output: &mut Output) -> Result<Outcome, Failure> {
    let reading = reading::read(&arguments.filename)?;
    read_or_not(print(&reading, output))?;
    Ok(if reading.is_valid() { Outcome::Done } else { Outcome::Usage })
}

fn print(reading: &Reading, output: &mut Output) -> Result<(), Failure> {
    for error in &reading.unreadable {
        output.line(format_args!("{error}"))?;
    }
    for document in &reading.documents {
        match document {
            Ok(manifest) => match manifest.doubts() {
                None => output.line(format_args!("{}: valid", manifest.place()))?,
                Some(doubts) => output
                    .line(format_args!("{}: valid as far as can be told here; {doubts}", manifest.place()))?,
            },
            Err(broken) => {
                output.line(format_args!("{}: invalid", broken.place))?;
                for problem in &broken.problems {
                    output.line(format_args!("  {problem}"))?;
                }
            }
        }
    }
    Ok(())
}
