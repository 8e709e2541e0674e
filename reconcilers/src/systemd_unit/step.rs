//! What can be done about a unit, as plain data.

use agent_model::{Digest, Step, UnitName};

use super::record::OriginalFile;

/// One action on a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemdUnitStep {
    pub(super) unit: UnitName,
    pub(super) action: UnitAction,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UnitAction {
    /// Keeps a copy of what is about to be replaced.
    KeepOriginal { file: String, original: OriginalFile },
    /// Has systemd judge the files as declared, before any is put in place.
    Verify,
    /// Puts a file as declared in the place of what was seen there.
    Write { file: String, over: Option<Digest> },
    /// Puts back what was there before, in the place of what was seen there.
    Restore { file: String, original: Option<OriginalFile>, over: Digest },
    /// Removes the folder of its drop-ins where that is empty.
    RemoveFolder,
    /// Has it started at boot, or not.
    Enable(bool),
    /// Has systemd read its units again, once for all units of a pass.
    Reload,
    /// Starts it; `again` where it ran before the device was booted.
    Start { again: bool },
    /// Starts it again.
    Restart,
    /// Stops it.
    Stop,
}

impl Step for SystemdUnitStep {
    fn summary(&self) -> String {
        let unit = &self.unit;
        match &self.action {
            UnitAction::KeepOriginal { file, .. } => format!("keep the original of {file}"),
            UnitAction::Verify => format!("have systemd judge {unit}"),
            UnitAction::Write { file, over: None } => format!("write {file}"),
            UnitAction::Write { file, over: Some(_) } => format!("replace {file}"),
            UnitAction::Restore { file, original: Some(_), .. } => format!("restore {file}"),
            UnitAction::Restore { file, original: None, .. } => format!("remove {file}"),
            UnitAction::RemoveFolder => format!("remove the folder {unit}.d if it is empty"),
            UnitAction::Enable(true) => format!("enable {unit}"),
            UnitAction::Enable(false) => format!("disable {unit}"),
            UnitAction::Reload => "have systemd read its units again".to_owned(),
            UnitAction::Start { .. } => format!("start {unit}"),
            UnitAction::Restart => format!("restart {unit}"),
            UnitAction::Stop => format!("stop {unit}"),
        }
    }

    /// A file means nothing to systemd until it is read, and whatever writes one has it read in the next pass.
    /// So a change of several files and of what runs is one change.
    fn alters_target(&self) -> bool {
        matches!(
            self.action,
            UnitAction::Reload | UnitAction::Start { .. } | UnitAction::Restart | UnitAction::Stop
        )
    }

    fn restarts_target(&self) -> bool {
        matches!(self.action, UnitAction::Restart | UnitAction::Start { again: true })
    }
}
