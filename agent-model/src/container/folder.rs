//! The working folder of a container.

use std::{fmt, str::FromStr};

use crate::{InvalidTargetPath, TargetPath};

/// A folder in a container: an absolute path in its only spelling, `/` included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFolder(Option<TargetPath>);

impl ContainerFolder {
    /// The path.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("/", TargetPath::as_str)
    }
}

impl FromStr for ContainerFolder {
    type Err = InvalidTargetPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "/" { Ok(Self(None)) } else { text.parse().map(Some).map(Self) }
    }
}

impl fmt::Display for ContainerFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
