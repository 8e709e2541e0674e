//! Why a device does not accept a document.

use std::fmt;

/// The reasons of the condition `Accepted` = False. A refusal never disturbs what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalReason {
    /// Not readable as an envelope: too large, not UTF-8, not JSON, unknown or mistyped keys.
    Malformed,
    /// Another `apiVersion`, or a form of envelope that this agent does not read.
    UnsupportedEnvelope,
    /// No format of this kind is built in and enabled.
    UnsupportedKind,
    /// The format is known, but not this schema version.
    UnsupportedSchema,
    /// The document is for another device.
    WrongAgent,
    /// A signature is required and there is none.
    Unsigned,
    /// Signed by nobody whom this device trusts, or altered.
    UntrustedSignature,
    /// Older than the highest generation accepted.
    StaleGeneration,
    /// The highest generation accepted once more, but with other content.
    GenerationConflict,
    /// Its time is over.
    Expired,
    /// The format found the spec wrong.
    Invalid,
    /// The device's own rules forbid it.
    PolicyDenied,
}

impl RefusalReason {
    /// The reason as it stands in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "Malformed",
            Self::UnsupportedEnvelope => "UnsupportedEnvelope",
            Self::UnsupportedKind => "UnsupportedKind",
            Self::UnsupportedSchema => "UnsupportedSchema",
            Self::WrongAgent => "WrongAgent",
            Self::Unsigned => "Unsigned",
            Self::UntrustedSignature => "UntrustedSignature",
            Self::StaleGeneration => "StaleGeneration",
            Self::GenerationConflict => "GenerationConflict",
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
            Self::PolicyDenied => "PolicyDenied",
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
