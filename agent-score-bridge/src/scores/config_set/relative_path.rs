//! Paths of files below a folder, as documents name them.

use std::{fmt, str::FromStr};

use agent_model::{InvalidTargetPath, TargetPath};
use serde::{Serialize, Serializer};

/// A path below some folder, in its only spelling: what a [`TargetPath`] is without its first `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelativePath(TargetPath);

/// Why a text is no path below a folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a usable path below the folder: {problem}")]
pub struct InvalidRelativePath {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
    /// What is wrong with it, and what would be right.
    pub problem: &'static str,
}

impl RelativePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0.as_str()[1..]
    }

    /// Where it lies on the device.
    ///
    /// # Errors
    /// When both together are too long.
    pub fn below(&self, folder: &TargetPath) -> Result<TargetPath, InvalidTargetPath> {
        format!("{folder}{}", self.0).parse()
    }
}

impl FromStr for RelativePath {
    type Err = InvalidRelativePath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = match text {
            "" => "it must name a file",
            absolute if absolute.starts_with('/') => "it must be relative, without a / at its beginning",
            _ => match format!("/{text}").parse() {
                Ok(path) => return Ok(Self(path)),
                Err(InvalidTargetPath { problem, .. }) => problem,
            },
        };
        Err(InvalidRelativePath { given: text.chars().take(120).collect(), problem })
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RelativePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
