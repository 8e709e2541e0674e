//! A file of serial numbers of devices that are expected.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use agent_model::AgentId;
use fleet::enrollment::Asking;

use crate::failure::Failure;

/// The devices that are expected, by serial number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Serials(BTreeMap<String, Option<AgentId>>);

impl Serials {
    /// Reads a file; `-` is stdin.
    ///
    /// # Errors
    /// It cannot be read, or a line is wrong.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text =
            if path == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(path) };
        let text = text.map_err(|source| Failure::File { path: path.to_owned(), source })?;
        Self::parse(&text)
            .map_err(|wrong| Failure::Usage(format!("{}: {wrong}", PathBuf::from(path).display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut serials = BTreeMap::new();
        for (i, line) in text.lines().enumerate() {
            let number = i + 1;
            let words: Vec<&str> =
                line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
            let (serial, id) = match words[..] {
                [] => continue,
                [serial] => (serial, None),
                [serial, id] => {
                    let id = id.parse().map_err(|error| format!("line {number}: {error}"))?;
                    (serial, Some(id))
                }
                _ => return Err(format!("line {number}: write a serial number, and an id if you want")),
            };
            if serials.insert(serial.to_owned(), id).is_some() {
                return Err(format!("line {number}: {serial} is there twice"));
            }
        }
        Ok(Self(serials))
    }

    /// Whether this one claims to be a device that is expected, under this id.
    pub(super) fn expect(&self, asking: &Asking) -> bool {
        let expected = asking.serial().and_then(|serial| self.0.get(serial));
        expected.is_some_and(|id| id.as_ref().is_none_or(|id| *id == asking.agent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_serial_number_and_perhaps_an_id() {
        let serials = Serials::parse("# ours\nSN-1\n\nSN-2 edge-2 # the second\nSN#3 #a\n").unwrap();
        let expected = [("SN#3", None), ("SN-1", None), ("SN-2", Some("edge-2".parse().unwrap()))];
        assert_eq!(serials, Serials(expected.map(|(serial, id)| (serial.to_owned(), id)).into()));
        for (text, line) in [("a\na", "line 2"), ("a b c", "line 1"), ("a *", "line 1")] {
            assert!(Serials::parse(text).unwrap_err().contains(line), "{text:?}");
        }
    }
}
