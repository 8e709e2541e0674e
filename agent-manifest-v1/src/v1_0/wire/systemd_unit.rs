//! The spec of a `SystemdUnit`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// As systemd spells them, with a type of those that have a file.
const UNIT: &str =
    r"^[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]*\.(service|socket|timer|path|mount|automount|swap|target|slice)$";
/// A file name that systemd reads.
const DROP_IN: &str = r"^[A-Za-z0-9][A-Za-z0-9:_.@-]*\.conf$";
/// Something besides white space, and no NUL. JavaScript's white space is not Rust's, so this is wider.
const TEXT: &str = r"^[^\x00]*[^\x00\s][^\x00]*$";

/// A unit of systemd: its file, what is put beside it, and whether it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SystemdUnit {
    /// Its whole name, with its type: app.service, app@one.service, or the template app@.service, which is
    /// written only.
    #[schemars(regex(pattern = UNIT), length(max = 253))]
    pub unit: String,
    /// What is in its file, which is written to /etc/systemd/system. Without it the device has to have the
    /// unit already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = TEXT))]
    pub content: Option<String>,
    /// Files that add to it, by their names, which end with .conf.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "propertyNames" = {"pattern": DROP_IN, "minLength": 6, "maxLength": 200},
        "additionalProperties" = {"type": "string", "pattern": TEXT},
        "maxProperties" = 64
    ))]
    pub drop_ins: Option<BTreeMap<String, String>>,
    /// Whether it is started at boot, as its [Install] section says. Left as it is by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether it runs. Running by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<UnitState>,
}

/// Whether a unit runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum UnitState {
    /// It is started, and started again when it has stopped.
    Running,
    /// It is stopped, and stopped again when it was started.
    Stopped,
}
