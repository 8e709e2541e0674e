//! The arguments of `secret`.

use std::path::PathBuf;

use agent_model::{AgentId, SealingKey};
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::completion;

#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    /// Seal a value, so that only one device can read it, and print what stands in its place
    #[command(after_help = "\
What is printed goes into a document in the place of a string: the value of a variable (env) or the
content of a File. The device opens it with a key that it made itself and that never leaves it.

The value is read from stdin or a file, never from the command line, which others can see. It is
sealed as it is, with the line feed at its end if there is one (as echo prints it; printf %s does not).

--agent takes the key from the device's status. Whoever controls the servers can put one of their own
there and read what is sealed to it. Where that matters, look the key up on the device
(harmony-agent status) and give it with --to; then no server is asked at all.

A device that lost its key, or was replaced, has another one: seal anew for it.

Examples:
  printf %s \"$TOKEN\" | harmonyctl secret seal --agent edge-0042
  harmonyctl secret seal --agent edge-0042 --from-file tls.key -o yaml
  pass show edge/token | harmonyctl secret seal --to XCHUBRNNW2HSKYSK4WZBJ2TWPJXMSTMCTU6XWXQ22G5G6PRBHAUF76G7")]
    Seal(Seal),
}

#[derive(Debug, Args)]
pub(crate) struct Seal {
    /// The device, whose status has its key
    #[arg(
        long,
        env = "HARMONYCTL_AGENT",
        value_name = "ID",
        required_unless_present = "to",
        add = ArgValueCompleter::new(completion::agent_ids)
    )]
    pub(crate) agent: Option<AgentId>,
    /// The device's public key itself; no server is asked then
    // Not in the environment: it would have `--agent` seal to the key of another device.
    #[arg(long, value_name = "KEY")]
    pub(crate) to: Option<SealingKey>,
    /// A file with the value, or - for stdin [default: -]
    #[arg(long, env = "HARMONYCTL_FROM_FILE", value_name = "FILE|-")]
    pub(crate) from_file: Option<PathBuf>,
    /// How it is printed: json is on one line, and can stand in YAML too
    // Not in the environment: other commands print in other ways, which would be errors here.
    #[arg(short, long, value_enum, default_value_t = SealFormat::Json)]
    pub(crate) output: SealFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SealFormat {
    Json,
    Yaml,
}
