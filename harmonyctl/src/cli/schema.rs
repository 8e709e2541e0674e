//! The arguments of `schema`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint, builder::BoolishValueParser};
use clap_complete::engine::ArgValueCompleter;

use super::{ConvertFormat, EventFormat, Format};
use crate::completion;

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// List the kinds of documents and the schema versions of each that this program knows
    #[command(after_help = "\
Examples:
  harmonyctl schema list
  harmonyctl schema list -o json")]
    List(List),
    /// Print the JSON Schema of a kind
    #[command(after_help = "\
It is printed as it is committed, byte for byte. Editors complete and check documents with it.

Examples:
  harmonyctl schema print > agent-manifest.json
  harmonyctl schema print Score
  harmonyctl schema print AgentManifest@1.0.0")]
    Print(Print),
    /// Show what differs between two schemas, and whose documents the readers of each accept
    #[command(after_help = "\
Ends with 0 when they accept the same and with 3 when not, as where both are equal and of different version lines or
kinds. Descriptions are not compared. A path like spec.resources[File].spec.mode is the mode of every resource of
the kind File; * is any key.

A file is named by a path with a / or an ending: ./my-schema.json. Of what is changed so that more is accepted
or less, this is told; of all else, that documents may be refused.

Examples:
  harmonyctl schema diff AgentManifest@1.0.0 AgentManifest
  harmonyctl schema diff AgentManifest ./newer.json -o json")]
    Diff(Diff),
    /// Show which schema versions the devices read and, for a document, who would refuse it
    #[command(after_help = "\
A row for each version of the agent, with what its devices read: schema versions by kind, and how many Scores
(-o wide names them). With --all, or for named devices, a row for each. It is what the devices said last; one that
never said anything, or nothing that this program can read, cannot be judged. Where a table shows the beginning
only, -o json has more.

With --file, who would refuse the document, and why. A single document is judged for every device, whatever its
metadata.name; of several, each for the device that it names, and one whose device is not among those shown is named
as not judged. Ends with 3 when anybody would refuse. One that is over by its metadata.expiresAt is refused by all.
Policy, signatures, generations, sealed values and Scores that this program does not know are not judged: only the
device can.

Examples:
  harmonyctl schema skew
  harmonyctl schema skew --all -o wide
  harmonyctl schema skew --file edge-0042.yaml
  harmonyctl schema skew agent edge-0042 edge-0043 --file edge-0042.yaml -o json")]
    Skew(Skew),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// How to print it
    #[arg(short, long, env = "HARMONYCTL_OUTPUT", value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Print {
    /// KIND, for the newest version, or KIND@VERSION
    #[arg(
        value_name = "KIND[@VERSION]",
        default_value = agent_manifest_v1::KIND,
        add = ArgValueCompleter::new(completion::schema_names)
    )]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// KIND[@VERSION], or a file with a JSON Schema
    #[arg(value_name = "A", add = ArgValueCompleter::new(completion::schema_names))]
    pub(crate) older: String,
    /// KIND[@VERSION], or a file with a JSON Schema
    #[arg(value_name = "B", add = ArgValueCompleter::new(completion::schema_names))]
    pub(crate) newer: String,
    /// How to print it
    // Not in the environment: other commands print in other ways, which would be errors here.
    #[arg(short, long, value_enum, default_value_t = ConvertFormat::Table)]
    pub(crate) output: ConvertFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Skew {
    /// agents, agent ID… or agent/ID… [default: agents]
    #[arg(value_name = "AGENTS", add = ArgValueCompleter::new(completion::Agents))]
    pub(crate) words: Vec<String>,
    /// A file with documents, a folder (its *.yaml, *.yml and *.json), or - for stdin; may be repeated
    #[arg(
        short,
        long,
        visible_alias = "filename",
        env = "HARMONYCTL_FILE",
        value_name = "FILE|DIR|-",
        value_hint = ValueHint::AnyPath
    )]
    pub(crate) file: Vec<PathBuf>,
    /// A row for each device
    #[arg(long, env = "HARMONYCTL_ALL", value_parser = BoolishValueParser::new())]
    pub(crate) all: bool,
    /// How to print it
    // Not in the environment: other commands print in other ways, which would be errors here.
    #[arg(short, long, value_enum, default_value_t = EventFormat::Table)]
    pub(crate) output: EventFormat,
}
