//! The arguments.

use std::{path::PathBuf, time::Duration};

use agent_model::AgentId;
use clap::{Args, Parser, Subcommand, ValueEnum, builder::BoolishValueParser};
use clap_complete::engine::ArgValueCompleter;

use crate::{completion, quantity};

/// State what should be on the devices of a fleet, and see what is.
#[derive(Debug, Parser)]
#[command(name = "harmonyctl", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done (converged, when waiting)
  1  error
  2  wrong arguments, or an invalid document
  3  refused by the device, or failed there; a difference, for diff and convert --check
  4  timed out, while the device was online
  5  someone else changed the entry meanwhile
  6  written, but the device is offline
With several documents: the first of 2, 1, 5, 3, 4, 6 that occurred.

Options that show an [env: …] can also be given in the environment; the command line wins.";

/// Where the fleet's server is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// The NATS server, nats://, tls:// or wss://; several of one cluster with commas between them
    /// [default: that of the context, else nats://127.0.0.1:4222]
    #[arg(long, global = true, env = "HARMONYCTL_NATS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) nats_url: Option<String>,
    /// A context of the NATS command line: server, login and certificates that the other options do
    /// not give
    #[arg(
        long,
        global = true,
        env = "HARMONYCTL_CONTEXT",
        value_name = "NAME",
        add = ArgValueCompleter::new(completion::contexts)
    )]
    pub(crate) context: Option<String>,
    /// A credentials file to log in with
    #[arg(long, global = true, env = "HARMONYCTL_CREDS", value_name = "FILE")]
    pub(crate) creds: Option<PathBuf>,
    /// A PEM file with who may vouch for the server [default: those that this system trusts]; no
    /// connection is made without TLS then
    #[arg(long, global = true, env = "HARMONYCTL_TLS_CA", value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// A PEM file with a certificate to show to the server; needs --tls-key
    #[arg(long, global = true, env = "HARMONYCTL_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// A PEM file with the private key of --tls-cert
    #[arg(long, global = true, env = "HARMONYCTL_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// How long a device may be silent before it counts as offline
    #[arg(
        long,
        global = true,
        env = "HARMONYCTL_OFFLINE_AFTER",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = humantime::parse_duration
    )]
    pub(crate) offline_after: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the buckets and the stream on the server, or bring them up to date
    #[command(after_help = "\
Doing it again changes nothing. Existing entries are kept.

Examples:
  harmonyctl init
  harmonyctl init --replicas 3 --events-max-bytes 50Gi")]
    Init(Init),
    /// Write documents, and wait until the devices have applied them
    #[command(after_help = "\
All documents are checked before any is written. The generation and the time of issue are filled
in; a document that says the same as before is left unchanged.

Examples:
  harmonyctl apply -f edge-0042.yaml
  harmonyctl apply -f site/ --timeout 10m
  render-site | harmonyctl apply -f - --no-wait")]
    Apply(Apply),
    /// List devices
    #[command(after_help = "\
Examples:
  harmonyctl get agents
  harmonyctl get agents -o wide --watch
  harmonyctl get agent edge-0042 -o json")]
    Get(Get),
    /// Show everything about a device
    #[command(after_help = "\
Examples:
  harmonyctl describe agent edge-0042")]
    Describe(Named),
    /// Show what happened on a device
    #[command(after_help = "\
Events are listed in the order in which they reached the server, which keeps the last 1,000 of a
device for 30 days. LAST-SEEN and --since go by the device's clock. One that cannot be read is
passed over with a warning.

Examples:
  harmonyctl events edge-0042
  harmonyctl events edge-0042 --since 1h --type Drift --type Failed
  harmonyctl events agent/edge-0042 --tail 20 --watch -o json")]
    Events(Events),
    /// Show what apply would change
    #[command(after_help = "\
Ends with 0 when nothing would change and with 3 when something would.

Examples:
  harmonyctl diff -f edge-0042.yaml")]
    Diff(Files),
    /// Unassign a device, or remove everything from it
    #[command(after_help = "\
Unassigning deletes the document; the device goes on enforcing what it has. To remove that from the
device, use --teardown.

Examples:
  harmonyctl delete agent edge-0042
  harmonyctl delete agent edge-0042 --teardown")]
    Delete(Delete),
    /// Wait until devices have applied their documents
    #[command(after_help = "\
A device that is offline is waited for too.

Examples:
  harmonyctl wait agent/edge-0042
  harmonyctl wait agent/edge-0042 --for=Unassigned --timeout 1m")]
    Wait(Wait),
    /// Check documents without a server
    #[command(after_help = "\
Examples:
  harmonyctl validate -f site/")]
    Validate(Files),
    /// Print documents as Scores, or check that this would change nothing on their devices
    #[command(after_help = "\
The conversion asks for the very same as the document: a device that reads Scores changes nothing
when it gets it. Of invalid documents all problems are told, and then nothing is printed. What is
printed can be applied.

With --check, the Scores are not printed but compared with what each device has: PARITY tells
whether its document and the Scores, both read with the facts that the device publishes, ask for
the same; READS-SCORES, whether the device can read them. Compared is the document's own conversion
or, with -f, what is given. Ends with 0 when all are identical, with 3 when any differs, and with 1
when any cannot be judged. A device without a document is shown with - and does not count, unless
Scores are given for it; without --check, `agents` passes it over.

Examples:
  harmonyctl convert -f edge-0042.yaml
  harmonyctl convert agent edge-0042 > edge-0042.yaml
  harmonyctl convert --from LegacyCommand -f edge-0042.json
  harmonyctl convert --from LegacyCommand agent edge-0042 | harmonyctl apply -f -
  harmonyctl convert -f site/ > scores.yaml
  harmonyctl convert --check agents
  harmonyctl convert --check -f scores.yaml -o json")]
    Convert(Convert),
    /// Print a script by which a shell completes commands and device names
    #[command(after_help = "\
Examples:
  source <(harmonyctl completion bash)
  harmonyctl completion fish > ~/.config/fish/completions/harmonyctl.fish")]
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Copies of each entry in a cluster (default: 1, or as it is)
    #[arg(long, env = "HARMONYCTL_REPLICAS", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) replicas: Option<u8>,
    /// Total size of the event stream (default: 10Gi, or as it is)
    #[arg(long, env = "HARMONYCTL_EVENTS_MAX_BYTES", value_name = "SIZE", value_parser = quantity::parse_size)]
    pub(crate) events_max_bytes: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct Files {
    /// A file, a folder (its *.yaml, *.yml and *.json), or - for stdin; may be repeated
    #[arg(short, long = "filename", env = "HARMONYCTL_FILENAME", required = true, value_name = "FILE|DIR|-")]
    pub(crate) filename: Vec<PathBuf>,
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

#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Only say what would be done
    #[arg(long, env = "HARMONYCTL_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// agents, agent ID… or agent/ID…
    #[arg(required = true, value_name = "AGENTS", add = ArgValueCompleter::new(completion::Agents))]
    pub(crate) words: Vec<String>,
    /// How to print it
    #[arg(short, long, env = "HARMONYCTL_OUTPUT", value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Go on printing what changes
    #[arg(short, long, env = "HARMONYCTL_WATCH", value_parser = BoolishValueParser::new())]
    pub(crate) watch: bool,
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
    /// Only events of this type; may be repeated
    #[arg(long = "type", env = "HARMONYCTL_TYPE", value_name = "TYPE", value_delimiter = ',')]
    pub(crate) types: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// Take the documents of these devices: agents, agent ID… or agent/ID…
    #[arg(value_name = "AGENTS", add = ArgValueCompleter::new(completion::Agents))]
    pub(crate) words: Vec<String>,
    /// A file, a folder (its *.yaml, *.yml and *.json), or - for stdin; may be repeated
    #[arg(
        short,
        long = "filename",
        env = "HARMONYCTL_FILENAME",
        value_name = "FILE|DIR|-",
        conflicts_with = "words"
    )]
    pub(crate) filename: Vec<PathBuf>,
    /// What to convert from, where that is no document of this version; it becomes an AgentManifest
    #[arg(long, env = "HARMONYCTL_FROM", value_enum, ignore_case = true, conflicts_with_all = ["check", "to"])]
    pub(crate) from: Option<ConvertFrom>,
    /// The device that a legacy command is for (default: the file's name without its ending)
    #[arg(long, env = "HARMONYCTL_NAME", value_name = "ID", requires = "from", conflicts_with = "words")]
    pub(crate) name: Option<AgentId>,
    /// What to convert to
    #[arg(long, env = "HARMONYCTL_TO", value_enum, ignore_case = true, default_value_t = ConvertTo::Score)]
    pub(crate) to: ConvertTo,
    /// Only tell whether it would change anything, by default on any device
    #[arg(long, env = "HARMONYCTL_CHECK", value_parser = BoolishValueParser::new())]
    pub(crate) check: bool,
    /// How to print it: by default documents as yaml, and a check as table
    #[arg(short, long, env = "HARMONYCTL_OUTPUT", value_enum)]
    pub(crate) output: Option<ConvertFormat>,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// agent ID… or agent/ID…
    #[arg(required = true, value_name = "AGENT", add = ArgValueCompleter::new(completion::Agents))]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) agents: Named,
    /// Write the empty document instead, which removes everything, and wait for that
    #[arg(long, env = "HARMONYCTL_TEARDOWN", value_parser = BoolishValueParser::new())]
    pub(crate) teardown: bool,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Condition {
    /// The device has fully applied its document
    Converged,
    /// The device has noticed that there is no document for it
    Unassigned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::CommandFactory as _;

    use super::*;

    fn parse(words: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(words.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn documented_examples_are_accepted() {
        let mut examples = 0;
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter_map(|line| line.strip_prefix("  harmonyctl ")) {
                let words = line.split(['>', '|']).next().unwrap_or_default().trim_end();
                parse(&format!("harmonyctl {words}")).unwrap_or_else(|error| panic!("{line}: {error}"));
                examples += 1;
            }
        }
        assert!(examples >= 10, "only {examples} examples were found");
    }

    #[test]
    fn every_option_can_be_given_in_the_environment() {
        let mut options = 0;
        for command in Cli::command().get_subcommands().chain([&Cli::command()]) {
            for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
                let Some(long) = option.get_long().filter(|long| !["help", "version"].contains(long)) else {
                    continue;
                };
                let variable = format!("HARMONYCTL_{}", long.to_uppercase().replace('-', "_"));
                assert_eq!(option.get_env(), Some(OsStr::new(&variable)), "{long}");
                options += 1;
            }
        }
        assert!(options >= 12, "only {options} options were found");
    }

    #[test]
    fn global_options_stand_before_and_after_the_command() {
        for words in
            ["harmonyctl --offline-after 30s get agents", "harmonyctl get agents --offline-after 30s"]
        {
            assert_eq!(parse(words).unwrap().connection.offline_after, Duration::from_secs(30));
        }
    }

    #[test]
    fn files_may_be_repeated_and_must_be_given() {
        let Command::Apply(apply) = parse("harmonyctl apply -f a -f -").unwrap().command else {
            panic!("not apply");
        };
        assert_eq!(apply.files.filename, [PathBuf::from("a"), PathBuf::from("-")]);
        assert_eq!(apply.waiting.limit.timeout, Duration::from_secs(300));
        for words in
            ["harmonyctl apply", "harmonyctl get", "harmonyctl wait agent/a --for=Ready", "harmonyctl logs"]
        {
            assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{words}");
        }
    }
}
