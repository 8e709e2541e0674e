//! The spec of a `ShellJob`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    IdOrName, TARGET_PATH, Variable,
    process::{ARGUMENT, DURATION, PROGRAM, VARIABLE},
    workload::Limits,
};

/// Something besides blanks, and no NUL.
const SCRIPT: &str = r"^[^\x00]*[^\s\x00][^\x00]*$";
/// One line without control characters.
const RUN_ID: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

/// A script that runs to its end, at most once, isolated from the device. It sees the device's files read-only, an
/// empty /tmp of its own, no network and no other processes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShellJob {
    /// The text that the interpreter is given as a file.
    #[schemars(regex(pattern = SCRIPT))]
    pub script: String,
    /// The program that reads the script, and its arguments; the script's path comes last. ["/bin/sh", "-eu"] by
    /// default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 1024),
        inner(regex(pattern = ARGUMENT)),
        extend("prefixItems" = [{"type": "string", "pattern": PROGRAM}])
    )]
    pub interpreter: Option<Vec<String>>,
    /// With another one the same job runs once more. Without control characters, at most 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = RUN_ID), length(max = 128))]
    pub run_id: Option<String>,
    /// A script that runs first, in the same way: where it ends with 0, the job is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = SCRIPT))]
    pub unless: Option<String>,
    /// Where this path exists on the device, the job is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = TARGET_PATH), length(max = 4095))]
    pub creates: Option<String>,
    /// How long each of the scripts may take before all of it is killed: 1s to 24h, 1m by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub timeout: Option<String>,
    /// How often it is run again after it failed or was interrupted. 0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub retry: Option<u64>,
    /// Its environment, besides PATH, HOME, USER, LOGNAME and SHELL; nothing of the agent's. Values are
    /// strings, or sealed to the device: put numbers and booleans in quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("propertyNames" = {"pattern": VARIABLE, "maxLength": 255}))]
    pub env: Option<BTreeMap<String, Variable>>,
    /// The user it runs as; 65534 (nobody) by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<IdOrName>,
    /// Whether it has the device's network; by default it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<bool>,
    /// Folders and files that it can write in, as far as its user may: they have to exist. At most 64, none within
    /// another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(regex(pattern = TARGET_PATH), length(max = 4095)))]
    pub writable_paths: Option<Vec<String>>,
    /// What it may use. A device that cannot enforce one of these does not run the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}
