//! `secret seal`: a value that only one device can read.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::Path,
};

use agent_core::{envelope::MAX_DOCUMENT_BYTES, secrets::seal};
use agent_model::{AgentId, SealingKey};
use fleet::{Roster, Selection};
use zeroize::Zeroizing;

use super::{connect, not_found};
use crate::{
    cli::{Connection, Seal, SealFormat},
    failure::Failure,
    notation::Notation,
    outcome::Outcome,
    output::Output,
};

/// Longest value, in bytes: with a third more as base64 it has to fit into a document, with all else.
const LONGEST: usize = MAX_DOCUMENT_BYTES / 2;

pub(crate) async fn run_seal(
    connection: &Connection,
    arguments: &Seal,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let to = match (&arguments.to, &arguments.agent) {
        (Some(to), _) => to.clone(),
        (None, Some(agent)) => match key_of(connection, agent, output).await? {
            Ok(key) => key,
            Err(outcome) => return Ok(outcome),
        },
        (None, None) => return Err(Failure::Usage("say for whom: --agent ID or --to KEY".to_owned())),
    };
    let plain = read(arguments.from_file.as_deref(), output)?;
    if plain.ends_with(b"\n") {
        output.message("note: it ends with a line feed, which is sealed too; printf %s prints none");
    }
    let sealed = seal(&plain, &to).map_err(|error| Failure::Usage(error.to_string()))?.written();
    let text = match arguments.output {
        // On one line it can be pasted into YAML as well.
        SealFormat::Json => sealed.to_string(),
        SealFormat::Yaml => Notation::Yaml.written("the sealed value", &sealed)?,
    };
    output.line(text)?;
    Ok(Outcome::Done)
}

/// The key that the device's status names; how the command ends where it names none.
async fn key_of(
    connection: &Connection,
    agent: &AgentId,
    output: &mut Output,
) -> Result<Result<SealingKey, Outcome>, Failure> {
    let fleet = connect(connection).await?;
    let roster = Roster::read(&fleet, Selection::of(std::slice::from_ref(agent))).await?;
    let Some(device) = roster.get(agent) else { return Ok(Err(not_found(output, agent))) };
    let key = device.status().and_then(|status| status.agent_info.sealing_key.clone());
    match key {
        Some(key) => {
            output.message(format_args!(
                "sealing to {key}, which is the key of agent/{agent} if the servers say the truth; `harmony-agent status` on \
                 the device shows its own, and --to takes it"
            ));
            Ok(Ok(key))
        }
        None => {
            output.error(format_args!(
                "the status of agent/{agent} names no key to seal to: it has reported nothing yet, its agent is too old, \
                 or it could not keep a key; `harmony-agent status` on the device tells"
            ));
            Ok(Err(Outcome::Error))
        }
    }
}

fn read(file: Option<&Path>, output: &mut Output) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let file = file.filter(|file| *file != Path::new("-"));
    let unreadable = |source| Failure::File { path: file.unwrap_or(Path::new("stdin")).to_owned(), source };
    let source: Box<dyn Read> = match file {
        Some(file) => Box::new(File::open(file).map_err(unreadable)?),
        None => {
            if io::stdin().is_terminal() {
                output.message("reading from the terminal, which shows what is typed; Ctrl-D on a line of its own ends it");
            }
            Box::new(io::stdin().lock())
        }
    };
    // As much as there may be at once: growing would leave copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    source.take(LONGEST as u64 + 1).read_to_end(&mut plain).map_err(unreadable)?;
    match plain.len() {
        0 => Err(Failure::Usage("there is nothing to seal: the input is empty".to_owned())),
        1..=LONGEST => Ok(plain),
        _ => Err(Failure::Usage(format!("it is longer than {LONGEST} bytes, and so fits into no document"))),
    }
}
