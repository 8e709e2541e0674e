//! Whether an agent grows with what it goes through.
//!
//! A document that comes soon after another one goes unread by an agent that runs ([`process`]): it takes some hundreds
//! of them, the connection all. The device alone ([`device`]) puts each in force.

mod device;
mod files;
mod process;

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    device::{DOCUMENTS as DOCUMENTS_IN_FORCE, Device, PASSES, assignment},
    process::{DOCUMENTS, Process, TOUCHES},
};
use crate::process_cost::Memory;

/// How many files it keeps. They are touched in turns: the kernel tells of equal events in a row once.
pub(crate) const FILES: u64 = 10;

/// Each kind of work comes in so many parts, and memory is looked at after each.
const PARTS: u64 = 10;

const AGENT: &str = "edge-0001";

/// How each of them fared.
pub(crate) struct Endurance {
    pub(crate) process: Process,
    pub(crate) device: Device,
}

pub(crate) async fn measure() -> Endurance {
    Endurance { device: device::measure(), process: process::measure().await }
}

/// Memory after each tenth of the work. By the end of the first everything has happened that happens once.
#[derive(Serialize, Deserialize)]
pub(crate) struct Growth(Vec<Memory>);

/// One figure after each tenth of the work, in KiB.
pub(crate) struct Series(Vec<u64>);

impl Growth {
    pub(crate) fn all(&self) -> Series {
        Series(self.0.iter().map(|memory| memory.kib).collect())
    }

    /// What of it is no page of a file.
    pub(crate) fn anonymous(&self) -> Series {
        Series(self.0.iter().map(|memory| memory.anonymous_kib).collect())
    }
}

impl Series {
    /// How much it grew after the first tenth of the work, in KiB.
    pub(crate) fn growth_kib(&self) -> u64 {
        let first_and_last = self.0.first().zip(self.0.last());
        first_and_last.map_or(0, |(first, last)| last.saturating_sub(*first))
    }
}

impl Display for Series {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let figures: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&figures.join(", "))
    }
}
