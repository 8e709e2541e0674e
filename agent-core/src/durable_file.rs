//! Replacing a small file so that a power cut leaves the old or the new one, whole.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::Path,
};

use crash_point::crash_point;

/// What happens to the version that is replaced.
pub(crate) enum Previous<'a> {
    /// It is gone.
    Discarded,
    /// It is kept under this path, on the same file system.
    KeptAs(&'a Path),
}

/// Whether the caller needs the new version to survive a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Synced before this returns: content first, then the folder.
    Synced,
    /// Written when the system sees fit. Still never torn for other readers.
    Eventual,
}

/// Replaces `path` by `content`, readable by its owner alone.
pub(crate) fn replace(
    path: &Path,
    content: &[u8],
    previous: Previous<'_>,
    durability: Durability,
) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let replaced = write_and_rename(&temporary, path, content, previous, durability);
    if replaced.is_err() {
        // On a full disk what was written of it would be in the way of everything else.
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

fn write_and_rename(
    temporary: &Path,
    path: &Path,
    content: &[u8],
    previous: Previous<'_>,
    durability: Durability,
) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    write_new(temporary, content, durability)?;
    crash_point();
    if let Previous::KeptAs(kept) = previous {
        keep(path, kept)?;
        crash_point();
    }
    fs::rename(temporary, path)?;
    crash_point();
    if durability == Durability::Synced {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn write_new(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    // One left over by a crash; a link put there by somebody else is removed, not followed.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    give_to_the_folders_user(&file, path);
    file.write_all(content)?;
    if durability == Durability::Synced {
        file.sync_all()?;
    }
    Ok(())
}

/// What an administrator writes into the folder of an agent that runs as another user, that agent
/// must be able to read. Where it cannot be given away, as to a user whom a container does not know,
/// it stays the writer's: that must keep no ledger from being written.
pub(crate) fn give_to_the_folders_user(file: &File, path: &Path) {
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    if let (Some(folder), Ok(written)) = (folder, file.metadata())
        && written.uid() == 0
        && folder.uid() != 0
    {
        let _ = fchown(file, Some(folder.uid()), Some(folder.gid()));
    }
}

/// A second name for the current version, so that there is no moment without one.
fn keep(path: &Path, kept: &Path) -> io::Result<()> {
    match fs::remove_file(kept) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::hard_link(path, kept) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Not every file system has second names (vfat has none).
        Err(_) => fs::copy(path, kept).map(drop),
    }
}
