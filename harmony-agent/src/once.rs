//! `harmony-agent once`: one document, no server.

use std::{fs, io, io::Read, path::Path};

use agent_core::{
    authoring::{AuthoredDocument, read_documents},
    envelope::MAX_DOCUMENT_BYTES,
    once::reconcile,
    state_dir::StateDir,
};

use crate::{Agent, CommandError, Exit, cli::OnceArgs, logging, run, say, wiring};

/// A document may be written more loosely than it travels, but not without any bound.
const MAX_FILE_BYTES: u64 = 4 * MAX_DOCUMENT_BYTES as u64;

/// Filled in for a kind that no format reads: the document is refused by its kind, before anybody
/// looks at the version.
const NO_SCHEMA_VERSION: &str = "0.0.0";

pub(crate) async fn once(args: OnceArgs, program: Agent) -> Result<Exit, CommandError> {
    logging::start(args.log_format, args.log_level);
    let document = read(&args.file)?;
    let agent =
        document.agent().map_err(|problem| CommandError::Usage(format!("{}: {problem}", document.source)))?;
    let state = StateDir::open(&args.state_dir).await.map_err(CommandError::failed)?;
    let settings = wiring::Settings { root: args.root, own_files: Vec::new(), scores: args.scores };
    run::raise_open_files();
    let wired = wiring::wire(program, &agent, &state, settings).await?;
    let newest = document.kind().and_then(|kind| wired.formats.newest_schema_version(kind));
    let schema_version = newest.map_or_else(|| NO_SCHEMA_VERSION.to_owned(), |version| version.to_string());
    let outcome = reconcile(wired.device, &document, &schema_version, wired.registry.wakes()).await;
    let text = serde_json::to_string_pretty(&outcome.status).map_err(CommandError::failed)? + "\n";
    say(&text);
    match outcome.refused {
        Some(refusal) => Err(CommandError::Usage(format!("{}: {refusal}", document.source))),
        None if outcome.converged => Ok(Exit::Done),
        None => Ok(Exit::NotConverged),
    }
}

fn read(path: &Path) -> Result<AuthoredDocument, CommandError> {
    let source = path.display().to_string();
    let usage = |problem: String| CommandError::Usage(format!("{source}: {problem}"));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|error| usage(format!("cannot be read: {error}")))?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(usage(format!("is longer than {MAX_FILE_BYTES} bytes")));
    }
    let mut documents =
        read_documents(&text, &source).map_err(|error| CommandError::Usage(error.to_string()))?;
    match documents.len() {
        1 => Ok(documents.remove(0)),
        several => Err(usage(format!("holds {several} documents; give one"))),
    }
}
