//! `harmonyctl`: the platform's command line.
//!
//! ```text
//! cli (arguments) ──▶ command::* ──▶ fleet (NATS) ──▶ output (stdout: data, stderr: messages)
//!                        │
//!                        ├──▶ reading, manifest (files, validation by every known format)
//!                        ├──▶ schemas, least_version, schema_comparison (the versions of formats), skew (those of a fleet)
//!                        └──▶ conversion, parity (to Scores, and whether that changes anything)
//! ```
//!
//! Every command ends in an [`outcome::Outcome`], which is the exit code.

mod access;
mod agent_words;
mod breaking;
mod cli;
mod command;
mod completion;
mod conversion;
mod document_text;
mod failure;
mod following;
mod formats;
mod least_version;
mod legacy_command;
mod manifest;
mod nats_context;
mod notation;
mod outcome;
mod output;
mod parity;
mod progress;
mod quantity;
mod reading;
mod schema_comparison;
mod schemas;
mod sealing;
mod skew;
mod table;
mod visible;
mod words;
mod yaml_words;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::{cli::Cli, failure::Failure, outcome::Outcome, output::Output};

fn main() -> ExitCode {
    // It has keys and plain secrets in memory.
    agent_core::core_dumps::forbid();
    match completion::answer(Cli::command()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(_) => return Outcome::Error.into(),
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. Nobody is left to tell when printing fails.
            let _ = error.print();
            return if error.use_stderr() { Outcome::Usage } else { Outcome::Done }.into();
        }
    };
    let mut output = Output::new();
    let ended = run(cli, &mut output);
    output.print_asides();
    match ended {
        Ok(outcome) => outcome.into(),
        Err(Failure::ReaderGone) => Outcome::Done.into(),
        Err(failure) => {
            output.error(agent_model::with_causes(&failure));
            failure.outcome().into()
        }
    }
}

fn run(cli: Cli, output: &mut Output) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::Runtime { source })?;
    runtime.block_on(command::run(cli, output))
}
