//! The arguments of what shows devices: `get`, `describe` and `events`.

use std::time::Duration;

use clap::{
    Args, ValueEnum,
    builder::{BoolishValueParser, RangedU64ValueParser},
};
use clap_complete::engine::ArgValueCompleter;

use crate::completion;

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// agents, agent ID… or agent/ID…; document ID or document/ID
    #[arg(required = true, value_name = "AGENTS|DOCUMENT", add = ArgValueCompleter::new(completion::Shown))]
    pub(crate) words: Vec<String>,
    /// How to print it
    #[arg(short, long, env = "HARMONYCTL_OUTPUT", value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Go on printing what changes about devices
    #[arg(short, long, env = "HARMONYCTL_WATCH", value_parser = BoolishValueParser::new())]
    pub(crate) watch: bool,
    /// The document as it was at this revision, instead of the newest
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub(crate) revision: Option<u64>,
    /// Print the entry of a document byte for byte, with the signature if it is signed, whatever --output says
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// agent ID… or agent/ID…
    #[arg(required = true, value_name = "AGENT", add = ArgValueCompleter::new(completion::Agents))]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// ID, agent ID or agent/ID
    #[arg(required = true, value_name = "AGENT", add = ArgValueCompleter::new(completion::OneAgent))]
    pub(crate) words: Vec<String>,
    /// How to print them
    #[arg(short, long, env = "HARMONYCTL_OUTPUT", value_enum, default_value_t = EventFormat::Table)]
    pub(crate) output: EventFormat,
    /// Go on printing what happens; json is one object a line then
    #[arg(short, long, env = "HARMONYCTL_WATCH", value_parser = BoolishValueParser::new())]
    pub(crate) watch: bool,
    /// Only what happened so long ago or later, and all that comes with --watch
    #[arg(long, env = "HARMONYCTL_SINCE", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) since: Option<Duration>,
    /// Only the last so many, and all that come with --watch
    #[arg(short = 'n', long, env = "HARMONYCTL_TAIL", value_name = "N")]
    pub(crate) tail: Option<usize>,
    /// Only events of this type, in capitals or not; may be repeated
    // Not a fixed list: newer agents send others.
    #[arg(
        long = "type",
        env = "HARMONYCTL_TYPE",
        value_name = "TYPE",
        value_delimiter = ',',
        add = ArgValueCompleter::new(completion::event_types)
    )]
    pub(crate) types: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    Table,
    Wide,
    Json,
    Yaml,
}
