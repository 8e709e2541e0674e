//! The commands, one file each.

mod agents;
mod apply;
mod convert;
mod delete;
mod describe;
mod diff;
mod documents;
mod events;
mod get;
mod init;
mod keygen;
mod nats;
mod operator;
mod schema;
mod secret;
mod sign;
mod validate;
mod verify;
mod wait;

pub(crate) use self::events::KNOWN_TYPES;
#[cfg(test)]
pub(crate) use self::get::tests::newer_agent;

use agent_model::{AgentId, Suggestions};
use fleet::{Agent, Endpoint, Fleet, Roster, Selection, roster};

use crate::{
    access,
    agent_words::Wanted,
    breaking::warn_of,
    cli::{Cli, Command, Connection, Secret},
    completion,
    failure::Failure,
    manifest::Manifest,
    outcome::Outcome,
    output::Output,
    reading::Reading,
};

/// How long connecting, and each request, may take.
const REQUEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs the command.
///
/// # Errors
/// What kept it from going on.
pub(crate) async fn run(cli: Cli, output: &mut Output) -> Result<Outcome, Failure> {
    let Cli { connection, command } = cli;
    match command {
        Command::Init(arguments) => init::run(&connection, &arguments, output).await,
        Command::Apply(arguments) => apply::run(&connection, &arguments, output).await,
        Command::Get(arguments) => get::run(&connection, &arguments, output).await,
        Command::Describe(arguments) => describe::run(&connection, &arguments, output).await,
        Command::Events(arguments) => events::run(&connection, &arguments, output).await,
        Command::Diff(arguments) => diff::run(&connection, &arguments, output).await,
        Command::Delete(arguments) => delete::run(&connection, &arguments, output).await,
        Command::Wait(arguments) => wait::run(&connection, &arguments, output).await,
        Command::Convert(arguments) => convert::run(&connection, &arguments, output).await,
        Command::Validate(arguments) => validate::run(&arguments, output),
        Command::Keygen(arguments) => keygen::run(&arguments, output),
        Command::Secret { command: Secret::Seal(arguments) } => {
            secret::run_seal(&connection, &arguments, output).await
        }
        Command::Sign(arguments) => sign::run(&arguments, output),
        Command::Verify(arguments) => verify::run(&arguments, output),
        Command::Agents(command) => agents::run(&connection, &command, output).await,
        Command::Schema(command) => schema::run(&connection, &command, output).await,
        Command::Nats { command } => nats::run(&connection, &command, output).await,
        Command::Completion { shell } => {
            output.line(completion::script(shell)?)?;
            Ok(Outcome::Done)
        }
    }
}

async fn connect(connection: &Connection) -> Result<Fleet, Failure> {
    let endpoint = Endpoint { access: access::of(connection)?, timeout: REQUEST_TIMEOUT };
    Ok(Fleet::connect(&endpoint).await?.telling(warn_of))
}

/// The documents, when all are valid; else says what is wrong with each.
fn all_valid(reading: Reading, output: &mut Output) -> Result<Vec<Manifest>, Failure> {
    for problem in reading.problems() {
        output.error(problem);
    }
    reading.into_manifests()
}

fn selection(wanted: &Wanted) -> Selection {
    match wanted {
        Wanted::All => Selection::All,
        Wanted::These(agents) => Selection::of(agents),
    }
}

/// The devices that are meant and known; says which are not.
fn found<'a>(roster: &'a Roster, wanted: &Wanted, output: &mut Output) -> (Vec<&'a Agent>, Outcome) {
    let mut outcome = Outcome::Done;
    let agents = match wanted {
        Wanted::All => roster.agents().collect(),
        Wanted::These(ids) => {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                match roster.get(id) {
                    Some(agent) => found.push(agent),
                    None => outcome = outcome.and(not_found(output, id)),
                }
            }
            found
        }
    };
    (agents, outcome)
}

/// What a command does and how it ends is the same when nobody reads what it prints to the end.
pub(crate) fn read_or_not(printed: Result<(), Failure>) -> Result<(), Failure> {
    match printed {
        Err(Failure::ReaderGone) => Ok(()),
        printed => printed,
    }
}

fn not_found(output: &mut Output, agent: &AgentId) -> Outcome {
    output
        .error(format_args!("agent/{agent} is not known here; `harmonyctl get agents` lists those that are"));
    Outcome::Error
}

/// The end of a message about a device that is not known: the known one whose name is nearest, if one is near. Nothing
/// fails for want of a hint.
async fn nearest_known(fleet: &Fleet, agent: &AgentId) -> String {
    let ids = roster::ids(fleet).await.unwrap_or_default();
    let others = ids.iter().filter(|id| *id != agent).map(AgentId::as_str);
    Suggestions::default().hint(agent.as_str(), others)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_reader_that_goes_stops_nothing_and_output_that_cannot_be_written_does() {
        assert!(read_or_not(Ok(())).is_ok());
        assert!(read_or_not(Err(Failure::ReaderGone)).is_ok());
        let full = Failure::Output { source: io::Error::other("full") };
        assert!(matches!(read_or_not(Err(full)), Err(Failure::Output { .. })));
    }
}
