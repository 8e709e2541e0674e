//! Replacing a small file so that a power cut leaves the old or the new one, whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
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
    replace_after(path, content, previous, durability, || Ok(()))
}

/// The same with something that must be there before the new version is: `besides` is called when the content
/// is written, and synced where the caller needs that, and before it takes its place.
pub(crate) fn replace_after(
    path: &Path,
    content: &[u8],
    previous: Previous<'_>,
    durability: Durability,
    besides: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = write_new(&temporary, content, durability).and_then(|()| besides());
    let replaced = written.and_then(|()| take_place(&temporary, path, previous, durability));
    if replaced.is_err() {
        // On a full disk what was written of it would be in the way of everything else.
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

fn take_place(
    temporary: &Path,
    path: &Path,
    previous: Previous<'_>,
    durability: Durability,
) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    crash_point();
    if let Previous::KeptAs(kept) = previous {
        keep(path, kept)?;
        crash_point();
    }
    // Opened beforehand: what can fail should fail while the old version is still there.
    let folder = File::open(folder)?;
    fs::rename(temporary, path)?;
    crash_point();
    if durability == Durability::Synced {
        folder.sync_all()?;
    }
    Ok(())
}

fn write_new(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = create(path)?;
    give_to_the_folders_user(&file, path);
    file.write_all(content)?;
    if durability == Durability::Synced {
        file.sync_all()?;
    }
    Ok(())
}

/// A new file for its owner alone, to which no umask can add anybody. One left over by a crash gives
/// way; a link put there by somebody else is removed, not followed.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()
        }
        created => created,
    }
}

/// What an administrator writes into the folder of an agent that runs as another user, that agent
/// must be able to read. Where it cannot be given away, as to a user whom a container does not know,
/// it stays the writer's: that must keep no ledger from being written.
pub(crate) fn give_to_the_folders_user(file: &File, path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    if let Some(folder) = path.parent().and_then(|folder| fs::metadata(folder).ok())
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_a_crash_or_somebody_else_left_under_the_temporary_name_gives_way_and_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [path, temporary, theirs] =
            ["state.json", "state.tmp", "theirs"].map(|name| folder.path().join(name));
        fs::write(&theirs, "theirs").unwrap();
        let file = || fs::write(&temporary, "left over, and longer").unwrap();
        let link = || symlink(&theirs, &temporary).unwrap();
        let left_over: [&dyn Fn(); 2] = [&file, &link];
        for (content, leave) in ["one", "two"].into_iter().zip(left_over) {
            leave();
            replace(&path, content.as_bytes(), Previous::Discarded, Durability::Synced).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert!(fs::symlink_metadata(&path).unwrap().is_file());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        assert!(!temporary.exists());
    }
}
