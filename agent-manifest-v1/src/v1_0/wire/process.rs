//! The spec of a `Process`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    IdOrName, Variable,
    workload::{Limits, Log, Probes, Restart},
};

/// Without NUL, with which no program can be handed anything.
pub(super) const ARGUMENT: &str = r"^[^\x00]*$";
/// An argument that is not empty.
pub(super) const PROGRAM: &str = r"^[^\x00]+$";
/// What a variable may be called.
pub(super) const VARIABLE: &str = r"^[^=\x00]+$";
/// As the path of a file, or `/` itself.
pub(super) const FOLDER: &str = r"^(/|(/([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+))+)$";
/// A length of time as humantime reads it.
pub(crate) const DURATION: &str = r"^\s*([0-9][0-9\s]*(\.[0-9\s]+)?[A-Za-zµ]+\s*)+$";
/// With or without `SIG`.
pub(super) const SIGNAL: &str = r"^(SIG)?(TERM|INT|QUIT|HUP|KILL|USR1|USR2|WINCH)$";

/// A program that runs, outlives the agent, and is started again by its restart policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Process {
    /// The program and its arguments: 1 to 1,024 words, with the environment at most 128 KiB. No shell
    /// reads them. A program without `/` is looked for in the PATH of env.
    #[schemars(
        length(min = 1, max = 1024),
        inner(regex(pattern = ARGUMENT)),
        extend("prefixItems" = [{"type": "string", "pattern": PROGRAM}])
    )]
    pub command: Vec<String>,
    /// Its environment, besides PATH, HOME, USER, LOGNAME and SHELL; nothing of the agent's. Values are
    /// strings, or sealed to the device: put numbers and booleans in quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("propertyNames" = {"pattern": VARIABLE, "maxLength": 255}))]
    pub env: Option<BTreeMap<String, Variable>>,
    /// The folder it starts in: an absolute path without `.`, `..`, `//` or a closing `/`. `/` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = FOLDER), length(max = 4095))]
    pub workdir: Option<String>,
    /// The user it runs as; the agent's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<IdOrName>,
    /// The group it runs as; that of the user by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<IdOrName>,
    /// When it is started again after it ended by itself. Always by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// What it may use; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// How its health is found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// The signal that asks it to stop: SIGTERM by default, or SIGINT, SIGQUIT, SIGHUP, SIGKILL, SIGUSR1,
    /// SIGUSR2, SIGWINCH.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = SIGNAL))]
    pub stop_signal: Option<String>,
    /// How long it may take to stop before all that is left of it is killed: up to 1h, 10s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub stop_timeout: Option<String>,
    /// How much of what it prints is kept on the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
}
