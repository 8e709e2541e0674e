//! The actions that a plan for a file is made of.

use agent_model::{Step, TargetPath};

use super::{
    record::{Attributes, Fingerprint, Original},
    stamp::Stamp,
};

/// One action on one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStep {
    /// The claimed path.
    pub(super) path: TargetPath,
    pub(super) action: FileAction,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileAction {
    /// Remove the temporary file that a crash left behind.
    SweepTemporary,
    /// Keep a copy of what lies there, if it still has this content.
    KeepOriginal(Fingerprint),
    /// Put the declared content there in one atomic move.
    Write {
        /// Mode and owner of the new file.
        attributes: Attributes,
        /// The folders to create where they are missing, the topmost first.
        parents: Vec<TargetPath>,
        /// What it takes the place of. Anything else is not overwritten unseen.
        over: Option<Stamp>,
    },
    /// Give the file another mode or owner; its content stands.
    SetAttributes {
        /// The mode and owner.
        attributes: Attributes,
        /// The file that was looked at. Any other is left alone.
        of: Stamp,
    },
    /// Give back what was there before.
    Restore {
        /// What was there.
        original: Original,
        /// What it takes the place of. Anything else is left alone.
        over: Stamp,
    },
    /// Remove those of these folders that are empty, the last first.
    RemoveParents(Vec<TargetPath>),
}

impl FileAction {
    /// Whether something comes to be under the path's temporary name.
    pub(super) fn needs_temporary(&self) -> bool {
        match self {
            Self::Write { .. } => true,
            Self::Restore { original, .. } => *original != Original::Absent,
            Self::SweepTemporary
            | Self::KeepOriginal(_)
            | Self::SetAttributes { .. }
            | Self::RemoveParents(_) => false,
        }
    }
}

impl Step for FileStep {
    fn summary(&self) -> String {
        let path = &self.path;
        match &self.action {
            FileAction::SweepTemporary => format!("remove the unfinished copy next to {path}"),
            FileAction::KeepOriginal(_) => format!("keep the original of {path}"),
            FileAction::Write { .. } => format!("write {path}"),
            FileAction::SetAttributes { attributes: Attributes { mode, uid, gid }, .. } => {
                format!("set mode {mode} and owner {uid}:{gid} of {path}")
            }
            FileAction::Restore { original: Original::Absent, .. } => format!("remove {path}"),
            FileAction::Restore { .. } => format!("restore the original of {path}"),
            FileAction::RemoveParents(_) => format!("remove the empty folders above {path}"),
        }
    }

    fn alters_target(&self) -> bool {
        match self.action {
            FileAction::Write { .. } | FileAction::SetAttributes { .. } | FileAction::Restore { .. } => true,
            FileAction::SweepTemporary | FileAction::KeepOriginal(_) | FileAction::RemoveParents(_) => false,
        }
    }
}
