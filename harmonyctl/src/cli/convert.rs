//! The arguments of `convert`.

use std::path::PathBuf;

use agent_model::AgentId;
use clap::{Args, ValueEnum, builder::BoolishValueParser};
use clap_complete::engine::ArgValueCompleter;

use crate::completion;

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// Take the documents of these devices: agents, agent ID… or agent/ID…
    #[arg(value_name = "AGENTS", add = ArgValueCompleter::new(completion::Agents))]
    pub(crate) words: Vec<String>,
    /// A file, a folder (its *.yaml, *.yml and *.json), or - for stdin; may be repeated
    // Not in the environment: where files are set for other commands, no document of a device could be converted.
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", conflicts_with = "words")]
    pub(crate) filename: Vec<PathBuf>,
    /// What to convert from, where that is no document of this version; it becomes an AgentManifest
    // Not in the environment, as `--to`: `agents approve --from` and `secret seal --to` mean something else.
    #[arg(long, value_enum, ignore_case = true, conflicts_with_all = ["check", "to"])]
    pub(crate) from: Option<ConvertFrom>,
    /// The device that a legacy command is for (default: the file's name without its ending)
    #[arg(long, env = "HARMONYCTL_NAME", value_name = "ID", requires = "from", conflicts_with = "words")]
    pub(crate) name: Option<AgentId>,
    /// What to convert to
    #[arg(long, value_enum, ignore_case = true, default_value_t = ConvertTo::Score)]
    pub(crate) to: ConvertTo,
    /// Only tell whether it would change anything, by default on any device
    #[arg(long, env = "HARMONYCTL_CHECK", value_parser = BoolishValueParser::new())]
    pub(crate) check: bool,
    /// How to print it: by default documents as yaml, and a check as table
    // Not in the environment: other commands print in other ways, which would be errors here.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<ConvertFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConvertFormat {
    Yaml,
    Json,
    Table,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum ConvertFrom {
    /// A bare {"command": "…"}, as the proof of concept read it
    LegacyCommand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum ConvertTo {
    /// Scores, version 0.1
    Score,
}
