//! What a `SystemdUnit` resource declares.

mod reading;
mod state;
#[cfg(test)]
mod tests;
mod unit_name;
mod unit_text;
mod writing;

use std::collections::BTreeMap;

pub use state::UnitState;
pub use unit_name::{DropInName, InvalidDropInName, InvalidUnitName, UnitName};
pub use unit_text::{InvalidUnitText, UnitText};

/// Most drop-ins of one unit.
pub const MAX_DROP_INS: usize = 64;

/// A unit of systemd: its file where that is declared, what is put beside it, and whether it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemdUnitSpec {
    /// Which unit.
    pub unit: UnitName,
    /// Its file. `None` for a unit that the device has anyway.
    pub content: Option<UnitText>,
    /// Files that add to it or change it, whoever wrote it.
    pub drop_ins: BTreeMap<DropInName, UnitText>,
    /// Whether it is started at boot, as its `[Install]` section says. `None` leaves that as it is.
    pub enabled: Option<bool>,
    /// Whether it runs. Means nothing for a template.
    pub state: UnitState,
}

impl SystemdUnitSpec {
    /// That unit with all else at its default: it has to be there, and to run.
    pub fn new(unit: UnitName) -> Self {
        Self { unit, content: None, drop_ins: BTreeMap::new(), enabled: None, state: UnitState::default() }
    }

    /// How many bytes its texts have together.
    pub fn text_bytes(&self) -> u64 {
        self.content.iter().chain(self.drop_ins.values()).map(|text| text.as_str().len() as u64).sum()
    }
}
