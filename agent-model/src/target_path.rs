//! Paths on the device, as documents name them.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Longest path, in bytes (`PATH_MAX` of Linux, which counts the closing NUL).
const MAX_LEN: usize = 4095;
/// Longest component, in bytes (`NAME_MAX` of Linux).
const MAX_COMPONENT_LEN: usize = 255;

/// What a temporary name is made of, around digits of a hash.
const TEMPORARY_PREFIX: &str = ".harmony-";
const TEMPORARY_SUFFIX: &str = ".tmp";
const TEMPORARY_HEX_LEN: usize = 16;

/// An absolute path in its only spelling: no `.`, `..`, `//`, closing `/` or NUL, and not `/`
/// itself. Two equal paths are therefore equal texts, which is what makes them fit as claims.
/// Shared, because a pass over many claims hands each of them around.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetPath(Arc<str>);

/// Why a text is no target path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a usable path: {problem}")]
pub struct InvalidTargetPath {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
    /// What is wrong with it, and what would be right.
    pub problem: &'static str,
}

impl TargetPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path's components from the top; never empty.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0[1..].split('/')
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// The folders above the path, the topmost first, without `/` itself.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').skip(1).map(|(end, _)| &self.0[..end])
    }

    /// Whether this path lies somewhere below the folder `other`.
    pub fn is_below(&self, other: &TargetPath) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The name, in the same folder, under which the file at this path comes to be before it is
    /// moved into place. Always the same, so that it is found after a crash.
    pub fn temporary_name(&self) -> String {
        let hex = Digest::of_bytes(self.0.as_bytes()).hex();
        format!("{TEMPORARY_PREFIX}{}{TEMPORARY_SUFFIX}", &hex[..TEMPORARY_HEX_LEN])
    }

    /// Whether a component could be the [`temporary_name`](Self::temporary_name) of some path, so
    /// that no document may declare it.
    pub fn is_reserved(&self) -> bool {
        self.components().any(|component| {
            component
                .strip_prefix(TEMPORARY_PREFIX)
                .and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX))
                .is_some_and(|hex| {
                    hex.len() == TEMPORARY_HEX_LEN
                        && hex.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
                })
        })
    }

    /// Where the path lies under `root`, by name alone: no link is resolved.
    pub fn under(&self, root: &Path) -> std::path::PathBuf {
        root.join(&self.0[1..])
    }
}

impl FromStr for TargetPath {
    type Err = InvalidTargetPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = if !text.starts_with('/') {
            Some("it must be absolute")
        } else if text == "/" {
            Some("it must name something below /")
        } else if text.contains('\0') {
            Some("it must not contain NUL")
        } else if text.len() > MAX_LEN {
            Some("it must not be longer than 4095 bytes")
        } else {
            text[1..].split('/').find_map(|component| match component {
                "" => Some("it must have neither an empty component (//) nor a closing /"),
                "." | ".." => Some("it must have no . or .. component"),
                long if long.len() > MAX_COMPONENT_LEN => Some("no component may be longer than 255 bytes"),
                _ => None,
            })
        };
        match problem {
            None => Ok(Self(text.into())),
            Some(problem) => Err(InvalidTargetPath { given: text.chars().take(120).collect(), problem }),
        }
    }
}

impl TryFrom<String> for TargetPath {
    type Error = InvalidTargetPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TargetPath> for String {
    fn from(path: TargetPath) -> Self {
        path.0.as_ref().to_owned()
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TargetPath {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_has_only_one_spelling() {
        for text in ["/a", "/etc/app/app.conf", "/a b/ü", "/..a/.b"] {
            assert_eq!(path(text).as_str(), text);
        }
        for text in ["", "a", "/", "//a", "/a/", "/a//b", "/a/./b", "/a/../b", "/..", "/a\0b"] {
            assert!(text.parse::<TargetPath>().is_err(), "{text:?} was accepted");
        }
        assert!(format!("/{}", "x".repeat(256)).parse::<TargetPath>().is_err());
        assert!("/x".repeat(2048).parse::<TargetPath>().is_err());
    }

    #[test]
    fn exactly_the_names_of_temporary_files_are_reserved() {
        let temporary = path("/etc/app.conf").temporary_name();
        assert_ne!(temporary, path("/etc/app.conf2").temporary_name());
        for reserved in [format!("/etc/{temporary}"), format!("/{temporary}/f")] {
            assert!(path(&reserved).is_reserved(), "{reserved}");
        }
        for free in [
            "/etc/app.conf",
            "/.harmony-.tmp",
            "/.harmony-0123456789abcde.tmp",
            "/.harmony-0123456789abcdef0.tmp",
            "/.harmony-0123456789abcdeF.tmp",
            "/.harmony-0123456789abcdef.tmp2",
            "/x.harmony-0123456789abcdef.tmp",
        ] {
            assert!(!path(free).is_reserved(), "{free}");
        }
    }

    #[test]
    fn below_means_below_and_not_merely_a_common_prefix() {
        assert!(path("/a/b").is_below(&path("/a")));
        assert!(!path("/ab").is_below(&path("/a")));
        assert!(!path("/a").is_below(&path("/a")));
    }

    #[test]
    fn ancestors_are_listed_from_the_top() {
        assert_eq!(path("/a/b/c").ancestors().collect::<Vec<_>>(), ["/a", "/a/b"]);
        assert_eq!(path("/a").ancestors().count(), 0);
        assert_eq!(path("/a/b/c").file_name(), "c");
    }
}
