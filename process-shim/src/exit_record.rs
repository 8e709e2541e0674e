//! How a process ended.

use std::{fmt, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{RecordError, record_file};

/// How a process ended: `exit.json`, written as soon as it did, while what it left behind may still run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitRecord {
    /// Which run of the process it was.
    pub run: String,
    /// The boot in which that was.
    pub boot_id: String,
    /// How.
    pub end: End,
    /// Whether the agent had asked for it.
    pub stopped: bool,
    /// Whether the kernel killed something in its control group for want of memory.
    pub out_of_memory: bool,
    /// Whether it was killed because its time was up.
    #[serde(default)]
    pub timed_out: bool,
    /// When (RFC 3339), by the clock of that moment: for people.
    pub ended_at: String,
    /// When, in milliseconds since boot.
    pub ended_ms: u64,
}

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By the signal of this number.
    Signal(i32),
    /// Nobody knows how: its shim ended before it.
    Unknown,
}

impl fmt::Display for End {
    /// In words that follow "it".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with code {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "was ended by {signal}"),
                Err(_) => write!(f, "was ended by signal {number}"),
            },
            Self::Unknown => f.write_str("was ended with its shim"),
        }
    }
}

impl ExitRecord {
    /// The record in that file; `None` when there is none.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn read(path: &Path) -> Result<Option<Self>, RecordError> {
        record_file::read(path)
    }

    /// Takes the space that the record in that file will need, before anything runs whose end it tells.
    ///
    /// # Errors
    /// When there is none.
    pub fn reserve(path: &Path) -> io::Result<()> {
        record_file::reserve(path)
    }

    /// Replaces the record in that file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        record_file::write(path, self)
    }
}
