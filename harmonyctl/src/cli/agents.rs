//! The arguments of `agents`.

use std::path::PathBuf;

use agent_model::UserKey;
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use super::Format;
use crate::completion;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// List devices and requests: who is let in, and who asks to be
    #[command(after_help = "\
What SERIAL and ADDRESS say is what the device claims. Two rows of one name are two keys that ask for it.

Examples:
  harmonyctl agents list
  harmonyctl agents list -o wide
  harmonyctl agents list -o json")]
    List(List),
    /// Show what the registry has about devices, and all that those claim who ask
    #[command(after_help = "\
Examples:
  harmonyctl agents describe edge-0042")]
    Describe(Described),
    /// Let devices in that ask: sign a user for the key of each
    #[command(after_help = "\
Needs the operator's folder. A device that is off gets its answer when it asks next. Whoever has bootstrap
credentials can ask for any id and claim any serial number: compare the key with what the device prints, and
give it. Without a key, nothing is done but to say which keys ask.

--all says who would be approved, and which --yes does that; if others ask by then, nothing is done (5).

A file for --from has one serial number a line, and behind it, if one wants, the id that this device must ask
for; # begins a comment. What asks now and claims one of these is approved. What comes later is approved
while --watch runs, or by the next run: nothing is approved while nobody runs this. A serial number that is
claimed with two keys or for two ids, or that a device has or had, is left to you.

Examples:
  harmonyctl agents approve edge-0042 --key UDXU4RCSJNZOIQHZ --operator operator/
  harmonyctl agents approve edge-0042=UDXU4RCSJNZOIQHZ edge-0043=UBGZ3MK2QHN7WXEA --operator operator/
  harmonyctl agents approve --all --operator operator/
  harmonyctl agents approve --all --yes 5f0c8e21ad9b4470c3e1d2f6 --operator operator/
  harmonyctl agents approve --from serials.txt --watch --operator operator/")]
    Approve(Approve),
    /// Tell devices that ask that they are not let in
    #[command(after_help = "\
A device that is denied ends with that. Started again, it tells that it is denied and asks once more: approve
that, and it is let in when it is started next. Without a key, nothing is done but to say which keys ask.

Examples:
  harmonyctl agents deny edge-0042 --key UDXU4RCSJNZOIQHZ --reason \"not ours\"
  harmonyctl agents deny edge-0042=UDXU4RCSJNZOIQHZ edge-0043=UBGZ3MK2QHN7WXEA")]
    Deny(Deny),
    /// End the credentials of devices, of connected ones at once
    #[command(after_help = "\
The device goes on with what it has, and neither reports nor learns anything more. The id stays; give it to other
hardware, or to the same with a new key, with `replace`.

The key is ended first, on all servers, and the registry is told then. Which key an id has, the registry says:
while that cannot be read, nothing is ended. With --key it is ended whatever the registry says. It is in the
folder first; when no server can be reached, `harmonyctl nats push` brings it there, or the same command again.

Examples:
  harmonyctl agents revoke edge-0042 --operator operator/
  harmonyctl agents revoke --key UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 --operator operator/")]
    Revoke(Revoke),
    /// Give the id of a device to new hardware that asks for it, and end the old key
    #[command(after_help = "\
What the platform has about the device stays: its document, labels and status. Without a key, nothing is done
but to say which keys ask.

Examples:
  harmonyctl agents replace edge-0042 --key UDXU4RCSJNZOIQHZ --operator operator/")]
    Replace(Replace),
    /// End devices for good: their credentials, and their ids for anybody
    #[command(after_help = "\
A device that never had a key needs no operator's folder.

Examples:
  harmonyctl agents retire edge-0042 --operator operator/")]
    Retire(Retire),
    /// Set, change and remove labels of devices
    #[command(after_help = "\
KEY=VALUE sets a label, KEY- removes one. A label that has another value is changed with --overwrite only. An id
of which nothing is known, not even a request, is an error (1); --in-advance labels a device that is still to come.

Examples:
  harmonyctl agents label edge-0042 site=bern ring=canary
  harmonyctl agents label edge-0042 edge-0043 ring=stable --overwrite
  harmonyctl agents label edge-0042 ring-
  harmonyctl agents label edge-0044 site=bern --in-advance")]
    Label(Label),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// How to print it
    #[arg(short, long, env = "HARMONYCTL_OUTPUT", value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Described {
    /// ID… or agent/ID…
    #[arg(required = true, value_name = "AGENT", add = ArgValueCompleter::new(completion::Ids))]
    pub(crate) agents: Vec<String>,
    /// How to print it: by default for people
    #[arg(short, long, env = "HARMONYCTL_OUTPUT", value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// Where that is with which users are signed and revoked.
#[derive(Debug, Clone, Args)]
pub(crate) struct Operator {
    /// The operator's folder, as `init --operator` made it; logs in with its credentials where no others are given
    #[arg(long, env = "HARMONYCTL_OPERATOR", value_name = "DIR")]
    pub(crate) operator: Option<PathBuf>,
}

/// Which of those who ask for an id.
#[derive(Debug, Clone, Args)]
pub(crate) struct Key {
    /// The public key that the device prints, or at least its first 16 characters
    // Not in the environment: there, `verify --key` has its file, and a key is compared anew for each device.
    #[arg(long, value_name = "KEY", value_parser = key_prefix)]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// ID… or agent/ID…, with --key for one, or =KEY behind each
    #[arg(
        required_unless_present_any = ["all", "from"],
        value_name = "AGENT",
        add = ArgValueCompleter::new(completion::Ids)
    )]
    pub(crate) agents: Vec<String>,
    #[command(flatten)]
    pub(crate) key: Key,
    /// Every device that asks, but for ids with an owner and those that several keys ask for
    // Not in the environment: there, `schema skew --all` has its own, which shows more and lets nobody in.
    #[arg(long, conflicts_with_all = ["agents", "from", "key"])]
    pub(crate) all: bool,
    /// Mean it, with --all: what it said when it ran without, which stands for the ids and keys that it showed
    #[arg(long, env = "HARMONYCTL_YES", value_name = "DIGEST")]
    pub(crate) yes: Option<String>,
    /// Devices that claim one of the serial numbers in this file; - for stdin
    // Not in the environment, as --watch: it would let in others than those who are named, and go on with it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["agents", "key"])]
    pub(crate) from: Option<PathBuf>,
    /// Go on with those that come, with --from
    #[arg(short, long, requires = "from")]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) operator: Operator,
}

#[derive(Debug, Args)]
pub(crate) struct Deny {
    /// ID… or agent/ID…, with --key for one, or =KEY behind each
    #[arg(required = true, value_name = "AGENT", add = ArgValueCompleter::new(completion::Ids))]
    pub(crate) agents: Vec<String>,
    #[command(flatten)]
    pub(crate) key: Key,
    /// What to tell whoever stands before the device
    #[arg(long, env = "HARMONYCTL_REASON", value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// ID… or agent/ID…
    #[arg(
        required_unless_present = "key",
        conflicts_with = "key",
        value_name = "AGENT",
        add = ArgValueCompleter::new(completion::Ids)
    )]
    pub(crate) agents: Vec<String>,
    /// The whole public key instead, also one that no device has any more, or that was never in the registry
    // Not in the environment: there, `verify --key` has its file.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<UserKey>,
    #[command(flatten)]
    pub(crate) operator: Operator,
}

#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// ID… or agent/ID…
    #[arg(required = true, value_name = "AGENT", add = ArgValueCompleter::new(completion::Ids))]
    pub(crate) agents: Vec<String>,
    #[command(flatten)]
    pub(crate) operator: Operator,
}

#[derive(Debug, Args)]
pub(crate) struct Replace {
    /// ID or agent/ID, with --key, or =KEY behind it
    #[arg(value_name = "AGENT", add = ArgValueCompleter::new(completion::Ids))]
    pub(crate) agent: String,
    #[command(flatten)]
    pub(crate) key: Key,
    #[command(flatten)]
    pub(crate) operator: Operator,
}

#[derive(Debug, Args)]
pub(crate) struct Label {
    /// ID… or agent/ID…, and then KEY=VALUE… or KEY-…
    #[arg(required = true, num_args = 2.., value_name = "AGENT|LABEL", add = ArgValueCompleter::new(completion::Ids))]
    pub(crate) words: Vec<String>,
    /// Change labels that have another value
    // Not in the environment: it would have every `label` replace values.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Label devices of which nothing is known yet, too
    // Not in the environment: it would have every misspelt id make an entry.
    #[arg(long)]
    pub(crate) in_advance: bool,
}

/// The beginning of a public key: so long that nobody makes another key that begins so, which takes a try in 2^75.
pub(crate) fn key_prefix(text: &str) -> Result<String, String> {
    const SHORTEST: usize = 16;
    let is_key = text.parse::<UserKey>().is_ok();
    let is_prefix = text.starts_with('U')
        && (SHORTEST..56).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b));
    if is_key || is_prefix {
        Ok(text.to_owned())
    } else {
        Err(format!("give the public key, or at least the first {SHORTEST} characters of it: U and A-Z 2-7"))
    }
}
