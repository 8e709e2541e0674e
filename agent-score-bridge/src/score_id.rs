//! How a Score is named with its version.

use std::{fmt, str::FromStr};

use agent_model::reader::shown;
use semver::Version;

/// A Score by name and version; as text `File@0.1.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScoreId {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
}

impl ScoreId {
    /// Whether a Score can have that name: a word in PascalCase, which can be written with a version
    /// behind it.
    pub const fn is_name(name: &str) -> bool {
        let name = name.as_bytes();
        let mut is_plain = true;
        // What a `const` may evaluate has no iterators.
        let mut i = 0;
        while i < name.len() {
            is_plain &= name[i].is_ascii_alphanumeric();
            i += 1;
        }
        is_plain && !name.is_empty() && name.len() <= 63 && name[0].is_ascii_uppercase()
    }
}

/// Why a text names no Score of a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} names no Score of a version: expected for example File@0.1.0")]
pub struct InvalidScoreId {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl fmt::Display for ScoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for ScoreId {
    type Err = InvalidScoreId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('@')
            .filter(|(name, _)| Self::is_name(name))
            .and_then(|(name, version)| Some(Self { name: name.to_owned(), version: version.parse().ok()? }))
            .ok_or_else(|| InvalidScoreId { given: shown(text) })
    }
}
