//! The arguments of `keygen`, `sign` and `verify`.

use std::path::PathBuf;

use agent_model::Generation;
use clap::Args;

use super::Files;

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// Where to write the private key
    #[arg(long, env = "HARMONYCTL_OUT", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Where to write the public key [default: beside the private one, as NAME.pub.pem]
    #[arg(long, env = "HARMONYCTL_PUBLIC_OUT", value_name = "FILE")]
    pub(crate) public_out: Option<PathBuf>,
    /// Replace files that are there
    // Not in the environment: a private key that is replaced is lost.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    pub(crate) files: Files,
    /// A PEM file with the private key
    #[arg(long, env = "HARMONYCTL_SIGN_KEY", value_name = "FILE")]
    pub(crate) sign_key: PathBuf,
    /// The generation of the document, instead of the one that it says
    #[arg(long, env = "HARMONYCTL_GENERATION", value_name = "N", value_parser = generation)]
    pub(crate) generation: Option<Generation>,
}

fn generation(text: &str) -> Result<Generation, String> {
    let number: u64 = text.parse().map_err(|_| "use a whole number from 1".to_owned())?;
    number.try_into().map_err(|_| format!("use a whole number from 1 to {}", Generation::MAX))
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A file with one signed document, or - for stdin; may be repeated
    #[arg(short, long = "filename", env = "HARMONYCTL_FILENAME", required = true, value_name = "FILE|-")]
    pub(crate) filename: Vec<PathBuf>,
    /// A PEM file with a public key; may be repeated. This or --trust-dir is needed
    #[arg(long, env = "HARMONYCTL_KEY", value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// A trust folder, as devices have it
    #[arg(long, env = "HARMONYCTL_TRUST_DIR", value_name = "DIR")]
    pub(crate) trust_dir: Option<PathBuf>,
}
