//! Where the fleet's server is.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::completion;

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
