//! The arguments of what is done on servers: `init` and `nats`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use fleet::provisioning::LEAST_EVENTS_MAX_BYTES;
use nats_operator::OwnUser;

use crate::quantity;

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Make the keys, accounts and configuration of servers in operator mode in this folder, and nothing else
    // Not in the environment: where the folder stands there for other commands, the server would get no buckets.
    #[arg(
        long,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        conflicts_with_all = ["replicas", "events_max_bytes"]
    )]
    pub(crate) operator: Option<PathBuf>,
    /// Copies of each entry in a cluster (default: 1, or as it is)
    #[arg(long, env = "HARMONYCTL_REPLICAS", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) replicas: Option<u8>,
    /// Total size of the event stream, at least 1Mi and what it holds (default: 10Gi, or what there is room for, or as it
    /// is)
    #[arg(long, env = "HARMONYCTL_EVENTS_MAX_BYTES", value_name = "SIZE", value_parser = events_max_bytes)]
    pub(crate) events_max_bytes: Option<i64>,
}

fn events_max_bytes(text: &str) -> Result<i64, String> {
    let bytes = quantity::parse_size(text)?;
    if bytes < LEAST_EVENTS_MAX_BYTES {
        return Err(format!(
            "{bytes} bytes hold next to no events: give at least {}Mi; a number alone counts bytes, Ki, Mi and Gi are units",
            LEAST_EVENTS_MAX_BYTES >> 20
        ));
    }
    Ok(bytes)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Nats {
    /// Test a running server, a line for each thing, with what to do about it
    #[command(after_help = "\
ok: as it should be. warning: it works, but look at it, or it cannot be known. FAILED: the fleet does not
work, or its devices are not kept apart. Ends with 1 when anything failed.

With the operator's folder, the settings of all servers are asked for, the accounts compared, and the
permissions tried as a device that there is not; the platform's credentials are those of the folder
unless --creds says otherwise. Nothing is left behind.

Examples:
  harmonyctl nats check
  harmonyctl --nats-url tls://nats.example:4222 nats check --operator operator/")]
    Check {
        /// The folder of the servers' operator, as `init --operator` makes it
        #[arg(long, env = "HARMONYCTL_OPERATOR", value_name = "DIR", value_hint = ValueHint::DirPath)]
        operator: Option<PathBuf>,
    },
    /// Have the servers know the accounts as they are in the operator's folder
    #[command(after_help = "\
Needed after a revocation that did not reach the servers, and after `init --operator` brought an
account up to date. Doing it again changes nothing.

Examples:
  harmonyctl nats push --operator operator/")]
    Push {
        /// The folder of the servers' operator, as `init --operator` makes it
        #[arg(long, env = "HARMONYCTL_OPERATOR", value_name = "DIR", value_hint = ValueHint::DirPath)]
        operator: PathBuf,
    },
    /// Replace credentials of the operator's folder that leaked, and end the old ones
    #[command(after_help = "\
Makes a new key and file, revokes the old key in its account for good, and has the servers know: whoever is
connected with the old credentials is put out. Devices that are let in are not disturbed, whichever it is.
If the servers cannot be reached, the folder is changed all the same; run `nats push` then.

Credentials of a device end with `agents revoke`. Keys of the folder cannot be renewed: make a new operator.

Examples:
  harmonyctl nats renew bootstrap --operator operator/
  harmonyctl nats renew platform --operator operator/")]
    Renew {
        /// Whose: system, platform or bootstrap, as the files in credentials/ are called
        user: OwnUser,
        /// The folder of the servers' operator, as `init --operator` makes it
        #[arg(long, env = "HARMONYCTL_OPERATOR", value_name = "DIR", value_hint = ValueHint::DirPath)]
        operator: PathBuf,
    },
}
