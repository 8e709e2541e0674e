//! The parts of a spec that everything that runs has in common.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

use super::process::{ARGUMENT, DURATION, PROGRAM};

/// A Kubernetes quantity of bytes.
const SIZE: &str = r"^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+|[kMGTPE]|[KMGTPE]i)?$";
/// A Kubernetes quantity of processors.
const CPUS: &str = r"^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+|m)?$";
/// The path of a URL, and its query: visible ASCII.
const REQUEST_PATH: &str = r"^/[!-~]*$";

/// When something that ended by itself is started again. A new boot of the device, and a change of what is
/// declared, start it in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Restart {
    /// However it ended.
    Always,
    /// Unless it ended with 0.
    OnFailure,
    /// Never.
    Never,
}

/// Bounds on what is used. What is left out is unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Memory: at least 1Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Processor time, in processors: at least 10m, a hundredth of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_194_304))]
    pub pids: Option<u64>,
    /// Open files of each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 1_073_741_824))]
    pub open_files: Option<u64>,
}

/// A number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// As a number.
    Bytes(#[schemars(range(min = 0))] Number),
    /// As a Kubernetes quantity: "64Mi", "128M", "1.5Gi".
    Quantity(#[schemars(regex(pattern = SIZE))] String),
}

/// A number of processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Cpus {
    /// As a number: 2, 0.5.
    Number(#[schemars(range(min = 0))] Number),
    /// As a Kubernetes quantity: "500m", "1.5".
    Quantity(#[schemars(regex(pattern = CPUS))] String),
}

/// How much of what is printed is kept on the device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Log {
    /// The size at which the file is rotated: 4Ki to 1Gi, 10Mi by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
    /// How many rotated files are kept beside the current one; 3 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub keep: Option<u32>,
}

/// How health is found out, as in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probes {
    /// Whether it has started. Until it has, the other probes wait; if it never does, it is restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
    /// Whether it can do its work. While not, it is not ready, and is not restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// Whether it is alive. When not, it is restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
}

/// One question that is asked again and again. Exactly one of exec, http and tcp is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["exec"], "properties": {"exec": {"type": "object"}, "http": {"type": "null"}, "tcp": {"type": "null"}}},
    {"required": ["http"], "properties": {"http": {"type": "object"}, "exec": {"type": "null"}, "tcp": {"type": "null"}}},
    {"required": ["tcp"], "properties": {"tcp": {"type": "object"}, "exec": {"type": "null"}, "http": {"type": "null"}}},
]))]
pub struct Probe {
    /// Runs a command that is to end with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Sends a GET that is to be answered with a status of 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Opens a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tcp>,
    /// From the start of one try to that of the next: 100ms to 1h, 10s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub interval: Option<String>,
    /// How long an answer may take: 100ms to 10m, 1s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub timeout: Option<String>,
    /// How many failures in a row count as one; 3 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: Option<u32>,
    /// How long after the start no failure counts: up to 24h, 0s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub start_period: Option<String>,
}

/// A command, run as the same user, in the same environment and, for a container, in the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments; bounded as the command of a process.
    #[schemars(
        length(min = 1, max = 1024),
        inner(regex(pattern = ARGUMENT)),
        extend("prefixItems" = [{"type": "string", "pattern": PROGRAM}])
    )]
    pub command: Vec<String>,
}

/// A GET to a port: of the device's loopback address or, for a container, of its own address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Http {
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The path, and the query if there is one: begins with `/`, visible ASCII. `/` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = REQUEST_PATH), length(max = 2048))]
    pub path: Option<String>,
    /// Whether TLS is spoken. Http by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
}

/// What an HTTP probe speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Scheme {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS; the certificate is not verified.
    Https,
}

/// A connection to a port: of the device's loopback address or, for a container, of its own address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tcp {
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}
