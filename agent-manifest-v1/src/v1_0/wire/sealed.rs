//! Values that may be sealed to the device.

use agent_model::SealedValue;
use schemars::JsonSchema;
use serde::Serialize;

use super::{BASE64, process::ARGUMENT};

/// A curve key of NATS, public: its prefix and 55 more of base32.
const SEALING_KEY: &str = r"^X[A-Z2-7]{55}$";
/// So many characters of base64 the shortest box has.
const SHORTEST_BOX: usize = SealedValue::OVERHEAD.div_ceil(3) * 4;

/// The value of a variable: a string, or the same sealed to the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Variable {
    /// As it is.
    Plain(#[schemars(regex(pattern = ARGUMENT))] String),
    /// Sealed to the device, as text in UTF-8 without NUL.
    Sealed(Sealed),
}

impl From<&str> for Variable {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

/// The content of a file: a string, or the same sealed to the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Text {
    /// As it is.
    Plain(String),
    /// Sealed to the device, whatever bytes it is.
    Sealed(Sealed),
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

/// A value that only the device can read: what `harmonyctl secret seal` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// For whom, and the value.
    pub sealed: SealedTo,
}

/// A value sealed to one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedTo {
    /// The device's public key: `sealingKey` in the agentInfo of its status.
    #[schemars(regex(pattern = SEALING_KEY))]
    pub to: String,
    /// The sealed value, as standard base64 with padding.
    #[serde(rename = "box")]
    #[schemars(regex(pattern = BASE64), length(min = SHORTEST_BOX), extend("contentEncoding" = "base64"))]
    pub boxed: String,
}
