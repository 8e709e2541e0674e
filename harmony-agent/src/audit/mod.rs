//! `harmony-agent audit`: what was done on this device, and whether that account is whole.

mod show;
mod verify;

use std::path::Path;

use agent_core::{audit::LogFile, state_dir::StateLayout};

use crate::{
    CommandError, Exit,
    cli::{AuditArgs, AuditCommand},
};

pub(crate) fn audit(args: &AuditArgs) -> Result<Exit, CommandError> {
    match &args.command {
        AuditCommand::Show(args) => show::show(args),
        AuditCommand::Verify(folder) => verify::verify(folder),
    }
}

/// The files of the log of that folder.
fn files(state_dir: &Path) -> Result<Vec<LogFile>, CommandError> {
    LogFile::open_all(&StateLayout::of(state_dir)).map_err(|error| unreadable(state_dir, &error))
}

fn unreadable(state_dir: &Path, error: &std::io::Error) -> CommandError {
    CommandError::failed(format!(
        "cannot read the audit log in {}: {error}; may this user read it?",
        state_dir.display()
    ))
}

fn nothing_there(state_dir: &Path) -> CommandError {
    CommandError::failed(format!(
        "no agent has written an audit log in {}; is this its --state-dir, and may this user read it?",
        state_dir.display()
    ))
}
