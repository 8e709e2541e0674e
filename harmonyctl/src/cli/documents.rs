//! The arguments of what reads and writes documents, and waits for devices.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::BoolishValueParser};

use super::Named;
use crate::quantity;

#[derive(Debug, Args)]
pub(crate) struct Files {
    /// A file, a folder (its *.yaml, *.yml and *.json), or - for stdin; may be repeated
    #[arg(short, long = "filename", env = "HARMONYCTL_FILENAME", required = true, value_name = "FILE|DIR|-")]
    pub(crate) filename: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) files: Files,
    /// A PEM file with the private key to sign the documents with, as `keygen` and `openssl genpkey` write it
    #[arg(long, env = "HARMONYCTL_SIGN_KEY", value_name = "FILE")]
    pub(crate) sign_key: Option<PathBuf>,
    /// Only say what would be done
    #[arg(long, env = "HARMONYCTL_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub(crate) dry_run: bool,
    /// Write documents also where their device, as it describes itself, cannot accept them
    // Not in the environment: nothing is forced there.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) agents: Named,
    /// Write the empty document instead, which removes everything, and wait for that
    // Not in the environment: it would have every `delete` remove everything.
    #[arg(long)]
    pub(crate) teardown: bool,
    /// A PEM file with the private key to sign the empty document with
    #[arg(long, env = "HARMONYCTL_SIGN_KEY", value_name = "FILE")]
    pub(crate) sign_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) agents: Named,
    /// What to wait for
    #[arg(long = "for", env = "HARMONYCTL_FOR", value_enum, ignore_case = true, default_value_t = Condition::Converged)]
    pub(crate) condition: Condition,
    #[command(flatten)]
    pub(crate) limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Condition {
    /// The device has fully applied its document
    Converged,
    /// The device has noticed that there is no document for it
    Unassigned,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Waiting {
    /// Do not wait until the devices have applied it
    #[arg(long, env = "HARMONYCTL_NO_WAIT", value_parser = BoolishValueParser::new())]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) limit: Limit,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Limit {
    /// How long to wait, 30 days at most
    #[arg(
        long,
        env = "HARMONYCTL_TIMEOUT",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = quantity::parse_wait
    )]
    pub(crate) timeout: Duration,
}
