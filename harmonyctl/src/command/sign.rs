//! `sign`: signs documents without a server.

use fleet::generation::Writing;

use super::all_valid;
use crate::{cli::Sign, failure::Failure, outcome::Outcome, output::Output, reading, sealing::Sealing};

pub(crate) fn run(arguments: &Sign, output: &mut Output) -> Result<Outcome, Failure> {
    let sealing = Sealing::with(Some(&arguments.sign_key), output)?;
    let manifests = all_valid(reading::read(&arguments.files.filename)?, output)?;
    if let (Some(_), [_, _, ..]) = (arguments.generation, manifests.as_slice()) {
        return Err(Failure::Usage("--generation is for one document; let several say theirs".to_owned()));
    }
    for manifest in &manifests {
        let generation = arguments.generation.unwrap_or(manifest.envelope.metadata.generation);
        let sealed = sealing.value(manifest, Writing::Create(generation), None)?;
        output.line(String::from_utf8_lossy(&sealed))?;
    }
    Ok(Outcome::Done)
}
