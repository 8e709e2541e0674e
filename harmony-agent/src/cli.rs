//! The command line (wire contract: Exit codes).

mod values;

use std::{path::PathBuf, time::Duration};

use agent_model::ResourceName;
use clap::{Args, Parser, Subcommand, ValueEnum, builder::BoolishValueParser};
use serde::Deserialize;

use crate::device_name::DeviceName;
use values::{
    duration, interval, one_or_many, optional_absolute_path, optional_interval, optional_retention, patience,
    pause_duration, retention,
};

/// Makes this device what the platform says it should be, and keeps it so.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Follow the platform until SIGTERM or SIGINT. What runs on the device goes on running.
    ///
    /// Each setting can be given as a flag, as an environment variable or as a key of the
    /// configuration file (with _ for -); the flag wins, then the variable, then the file.
    Run(RunArgs),
    /// Ask the platform for credentials of this device's own, and wait until somebody has decided.
    ///
    /// Makes a key on this device, which never leaves it, asks with the bootstrap credentials, and writes the file of
    /// --creds when the device is approved. Does nothing where that file is there already. Ended at any moment,
    /// it goes on the next time with the same key. To begin anew with another key, remove the file.
    ///
    /// Takes the settings of `run` from the same places, and uses those that name this device, the server and files for
    /// it. Exits with 0 when there are credentials, 3 when the device is denied, 4 when nobody answered in time.
    #[command(after_help = "\
Examples:
  harmony-agent enroll
  harmony-agent enroll --agent-id auto:serial --nats-url tls://nats.example:4222 \\
    --bootstrap-creds /etc/harmony-agent/bootstrap.creds --creds /etc/harmony-agent/device.creds --timeout 10m")]
    Enroll(EnrollArgs),
    /// Reconcile one document without a server and print the status as JSON.
    ///
    /// Takes the configuration file of `run`, for state folder, root, policy and containers. Exits with 0 when converged,
    /// 3 when not, 2 when the document is invalid.
    Once(OnceArgs),
    /// Show how this device stands; works offline and beside a running agent.
    Status(StatusArgs),
    /// Show what a process or job printed, each stream on the one of its name.
    ///
    /// Works offline and beside a running agent. All that is kept is shown, also of earlier runs of the
    /// process. Lines that are no lines of a log, as after a crash of the device, are shown as they are.
    Logs(LogsArgs),
    /// Show what was done on this device, or check that this account of it is whole.
    ///
    /// Works offline and beside a running agent.
    Audit(AuditArgs),
    /// Check that this device has what the agent needs, one line for each thing.
    ///
    /// Takes the settings of `run`. Looks at configuration, clock, disk, container runtime and server, and leaves
    /// nothing behind; works beside a running agent. Exits with 1 when something is missing.
    Check(RunArgs),
    /// Hold back changes while somebody works on this device.
    ///
    /// Documents are accepted meanwhile; nothing is applied or repaired. It lasts over restarts of the
    /// agent and of the device, until `resume` or the given time. Returns when a running agent has
    /// said that it holds changes back.
    Pause(PauseArgs),
    /// End a pause and safe mode: what was held back is done.
    Resume(StateFolder),
    /// Show what documents may do on this device, and what one of them would be allowed.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Forget the highest generation that was accepted, so that a lower one is accepted next.
    ///
    /// For a platform that counts from the beginning again. The agent must not run meanwhile. What is
    /// in force stays in force.
    ResetGeneration(StateFolder),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration file (TOML) [default: /etc/harmony-agent/config.toml, if there is one].
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct EnrollArgs {
    /// How long to wait for an answer [default: as long as it takes].
    #[arg(long, value_name = "DURATION", env = "HARMONY_AGENT_TIMEOUT", value_parser = patience)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// The settings of `run`, from any one source. What is `None` was not given there.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// This device's name: one NATS subject token of at most 63 characters, or where to find it on the device:
    /// auto:machine-id, auto:mac or auto:serial.
    #[arg(long, value_name = "ID", env = "HARMONY_AGENT_AGENT_ID")]
    pub(crate) agent_id: Option<DeviceName>,
    /// A NATS server, nats://HOST:PORT, tls://… or wss://…; repeat it for the servers of a cluster.
    #[arg(long, value_name = "URL", env = "HARMONY_AGENT_NATS_URL", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) nats_url: Vec<String>,
    /// File with this device's NATS credentials (JWT and seed); `enroll` writes it.
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_CREDS")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) creds: Option<PathBuf>,
    /// File with the credentials that may do nothing but ask for a device's own, for `enroll`.
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_BOOTSTRAP_CREDS")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) bootstrap_creds: Option<PathBuf>,
    /// PEM file with who may vouch for the server [default: those that this system trusts]. No connection
    /// is made without TLS then.
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_TLS_CA")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// PEM file with this device's certificate, for a server that asks for one; needs --tls-key.
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_TLS_CERT")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// PEM file with the private key of --tls-cert.
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_TLS_KEY")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Folder for what the agent must not forget [default: /var/lib/harmony-agent].
    #[arg(long, value_name = "DIR", env = "HARMONY_AGENT_STATE_DIR")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Put in front of the paths of File resources [default: /].
    #[arg(long, value_name = "DIR", env = "HARMONY_AGENT_ROOT")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) root: Option<PathBuf>,
    /// Folder with the public keys (*.pem) of those who may say what this device should be [default:
    /// /etc/harmony-agent/trust, if there is one].
    #[arg(long, value_name = "DIR", env = "HARMONY_AGENT_TRUST_DIR")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) trust_dir: Option<PathBuf>,
    /// Accept documents that nobody signed. Whoever can write the bucket then rules this device.
    #[arg(
        long,
        env = "HARMONY_AGENT_ALLOW_UNSIGNED",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) allow_unsigned: Option<bool>,
    /// What documents may do here (TOML) [default: /etc/harmony-agent/policy.toml, if there is one].
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_POLICY")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) policy: Option<PathBuf>,
    /// Socket of the container runtime [default: where podman and docker usually have theirs].
    #[arg(long, value_name = "SOCKET", env = "HARMONY_AGENT_CONTAINER_SOCKET")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) container_socket: Option<PathBuf>,
    /// File with logins for image registries, as `podman login` writes it
    /// [default: /etc/harmony-agent/auth.json, then where podman and docker have theirs].
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_REGISTRY_AUTH")]
    #[serde(deserialize_with = "optional_absolute_path")]
    pub(crate) registry_auth: Option<PathBuf>,
    /// How long an image stays that was pulled for a container and that nothing uses any more [default: 7days].
    #[arg(long, value_name = "DURATION", env = "HARMONY_AGENT_IMAGE_GC_AFTER", value_parser = retention)]
    #[serde(deserialize_with = "optional_retention")]
    pub(crate) image_gc_after: Option<Duration>,
    /// Form of the log on stderr [default: text].
    #[arg(long, value_enum, env = "HARMONY_AGENT_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// How much is logged [default: info].
    #[arg(long, value_enum, env = "HARMONY_AGENT_LOG_LEVEL")]
    pub(crate) log_level: Option<LogLevel>,
    /// How often the entry is read though nothing hints at a change [default: 4h].
    #[arg(long, value_name = "DURATION", env = "HARMONY_AGENT_RESYNC_INTERVAL", value_parser = interval)]
    #[serde(deserialize_with = "optional_interval")]
    pub(crate) resync_interval: Option<Duration>,
    /// How often everything is looked at though nothing woke the agent [default: 5m].
    #[arg(long, value_name = "DURATION", env = "HARMONY_AGENT_DRIFT_INTERVAL", value_parser = interval)]
    #[serde(deserialize_with = "optional_interval")]
    pub(crate) drift_interval: Option<Duration>,
    /// How often a sign of life is sent [default: 2m].
    #[arg(long, value_name = "DURATION", env = "HARMONY_AGENT_HEARTBEAT_INTERVAL", value_parser = interval)]
    #[serde(deserialize_with = "optional_interval")]
    pub(crate) heartbeat_interval: Option<Duration>,
}

/// Where the agent keeps its state, for the commands that look at it or alter it.
#[derive(Debug, Args)]
pub(crate) struct StateFolder {
    /// The agent's configuration file (TOML) [default: /etc/harmony-agent/config.toml, if there is one].
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The agent's state folder [default: state_dir of the configuration file, else /var/lib/harmony-agent].
    #[arg(long, value_name = "DIR", env = "HARMONY_AGENT_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// A document and where it is to come about, for the commands that need no server.
#[derive(Debug, Args)]
pub(crate) struct DocumentArgs {
    /// The document, YAML or JSON; - for standard input. metadata.generation may be left out.
    #[arg(short, long = "file", value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) state: StateFolder,
    /// Put in front of the paths of File resources [default: root of the configuration file, else /].
    #[arg(long, value_name = "DIR", env = "HARMONY_AGENT_ROOT")]
    pub(crate) root: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) policy: PolicyFile,
}

impl DocumentArgs {
    /// The configuration file, and what was given besides.
    pub(crate) fn settings(self) -> (Option<PathBuf>, Settings) {
        let Self { file: _, state: StateFolder { config, state_dir }, root, policy: PolicyFile { policy } } =
            self;
        (config, Settings { state_dir, root, policy, ..Settings::default() })
    }
}

/// What holds on this device, for the commands that look at it or judge by it.
#[derive(Debug, Args)]
pub(crate) struct PolicyFile {
    /// What documents may do here (TOML) [default: policy of the configuration file, else
    /// /etc/harmony-agent/policy.toml, if there is one].
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_POLICY")]
    pub(crate) policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct OnceArgs {
    #[command(flatten)]
    pub(crate) document: DocumentArgs,
    /// Socket of the container runtime [default: container_socket of the configuration file, else where podman and
    /// docker usually have theirs].
    #[arg(long, value_name = "SOCKET", env = "HARMONY_AGENT_CONTAINER_SOCKET")]
    pub(crate) container_socket: Option<PathBuf>,
    /// Form of the log on stderr.
    #[arg(long, value_enum, env = "HARMONY_AGENT_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// How much is logged.
    #[arg(long, value_enum, env = "HARMONY_AGENT_LOG_LEVEL", default_value = "warn")]
    pub(crate) log_level: LogLevel,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) state: StateFolder,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: StatusOutput,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The process or job, by its name in the document.
    #[arg(value_name = "NAME")]
    pub(crate) name: ResourceName,
    /// Go on with what it prints, also when it is started again, until it is declared no longer.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin at the last LINES lines.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) tail: Option<u64>,
    /// Put the time at which it was printed in front of each line.
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Leave out what was printed longer ago, like 10m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) since: Option<Duration>,
    #[command(flatten)]
    pub(crate) state: StateFolder,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print every rule that holds on this device, as the file would have it.
    Show(PolicyShowArgs),
    /// Say line by line what a document asks for, and by which rule that is allowed or denied.
    ///
    /// Nothing is changed. Exits with 0 when all is allowed, 3 when something is denied, 2 when the
    /// document is invalid.
    Explain(DocumentArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyShowArgs {
    /// The agent's configuration file (TOML) [default: /etc/harmony-agent/config.toml, if there is one].
    #[arg(long, value_name = "FILE", env = "HARMONY_AGENT_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) policy: PolicyFile,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show what was done, the oldest first.
    Show(AuditShowArgs),
    /// Find records that were removed, changed, inserted or moved.
    ///
    /// Exits with 1 when there are any.
    Verify(StateFolder),
}

#[derive(Debug, Args)]
pub(crate) struct AuditShowArgs {
    /// Leave out what was done longer ago, like 10m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) since: Option<Duration>,
    /// Show the last LINES records only.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) lines: Option<usize>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: AuditOutput,
    #[command(flatten)]
    pub(crate) state: StateFolder,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// End it by itself after this time, 30 days at most.
    #[arg(long = "for", value_name = "DURATION", value_parser = pause_duration)]
    pub(crate) duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) state: StateFolder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object to a line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// What keeps the agent from its work.
    Error,
    /// What somebody should look at.
    Warn,
    /// What it does.
    Info,
    /// Why it does it.
    Debug,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusOutput {
    /// For people.
    Table,
    /// The AgentStatus.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditOutput {
    /// For people.
    Table,
    /// The records as they stand in the log, one to a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_takes_the_state_folder_finds_it_in_the_configuration_file_too() {
        fn check(command: &clap::Command) -> usize {
            let argument = |id: &str| command.get_arguments().find(|argument| argument.get_id() == id);
            let takes = argument("state_dir").map(|folder| {
                let name = command.get_name();
                assert!(folder.get_default_values().is_empty(), "the default of {name} hides the file");
                assert_eq!(folder.get_env(), Some("HARMONY_AGENT_STATE_DIR".as_ref()), "{name}");
                let file = argument("config").and_then(clap::Arg::get_env);
                assert_eq!(file, Some("HARMONY_AGENT_CONFIG".as_ref()), "{name}");
            });
            usize::from(takes.is_some()) + command.get_subcommands().map(check).sum::<usize>()
        }
        assert_eq!(check(&Cli::command()), 12);
    }
}
