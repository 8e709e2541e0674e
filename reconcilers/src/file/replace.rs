//! Puts a file or a link in the place of what is there, in one atomic move.
//!
//! ```text
//! create temporary ─▶ fill ─▶ own, mode ─▶ fsync ─▶ rename ─▶ fsync of the folder
//! ```
//!
//! Whoever reads the path sees the old or the new content, never half of one, whenever the power
//! goes.

use std::{fs::File, rc::Rc};

use agent_model::{Failure, TargetPath};
use crash_point::crash_point;
use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, Uid},
    io::Errno,
};

use super::{failures, record::Attributes, stamp::Stamp, walk::Folder};

/// A path whose folder is held open.
pub(super) struct Spot<'a> {
    pub(super) folder: Rc<Folder>,
    pub(super) path: &'a TargetPath,
}

/// Puts a file with these attributes there, its content written by `fill`, if the path still
/// holds what was seen there.
pub(super) fn put_file(
    spot: &Spot<'_>,
    over: Option<&Stamp>,
    attributes: Attributes,
    fill: impl FnOnce(&mut File) -> Result<(), Failure>,
) -> Result<Stamp, Failure> {
    let cannot = |doing| move |error| failures::io(doing, spot.path, error);
    let (temporary, mut file) = Temporary::create(spot, |folder, name| {
        // Readable by nobody else until it has its owner.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    })?;
    crash_point();
    fill(&mut file)?;
    crash_point();
    give(&file, attributes).map_err(|error| failures::io("set mode and owner of", spot.path, error))?;
    rustix::fs::fsync(&file).map_err(cannot("sync"))?;
    let stamp = Stamp::new(&rustix::fs::fstat(&file).map_err(cannot("look at"))?);
    failures::unless_held(spot.path, attributes, stamp.attributes())?;
    crash_point();
    temporary.move_into_place(over)?;
    rustix::fs::fstat(&file).map(|stat| Stamp::new(&stat)).map_err(cannot("look at"))
}

/// Puts a symbolic link there, if the path still holds what was seen there.
pub(super) fn put_link(
    spot: &Spot<'_>,
    over: Option<&Stamp>,
    target: &str,
    uid: u32,
    gid: u32,
) -> Result<(), Failure> {
    let (temporary, ()) =
        Temporary::create(spot, |folder, name| rustix::fs::symlinkat(target, folder, name))?;
    crash_point();
    rustix::fs::chownat(
        &*spot.folder,
        temporary.name.as_str(),
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(|error| failures::io("set the owner of", spot.path, error))?;
    temporary.move_into_place(over)
}

/// Removes what a crash left of an earlier attempt.
pub(super) fn sweep_temporary(spot: &Spot<'_>) -> Result<(), Failure> {
    match rustix::fs::unlinkat(&*spot.folder, spot.path.temporary_name(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(failures::io("remove the unfinished copy next to", spot.path, error)),
    }
}

/// Whether the path still holds what was seen there; where there is something else now, it is
/// nobody's to overwrite unseen.
pub(super) fn still_holds(spot: &Spot<'_>, seen: Option<&Stamp>) -> Result<bool, Failure> {
    let now =
        spot.folder.stat(spot.path.file_name()).map_err(|error| failures::io("look at", spot.path, error))?;
    Ok(match (&now, seen) {
        (None, None) => true,
        (Some(now), Some(seen)) => now.same_content(seen),
        _ => false,
    })
}

/// Owner first: a change of owner takes the set-uid and set-gid bits away.
pub(super) fn give(file: &File, attributes: Attributes) -> rustix::io::Result<()> {
    let Attributes { mode, uid, gid } = attributes;
    let now = Stamp::new(&rustix::fs::fstat(file)?);
    if (now.uid, now.gid) != (uid, gid) {
        rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode.bits()))
}

/// The new entry under its first name, removed again unless it reaches its place.
struct Temporary<'a> {
    spot: &'a Spot<'a>,
    name: String,
    placed: bool,
}

impl<'a> Temporary<'a> {
    fn create<T>(
        spot: &'a Spot<'a>,
        make: impl Fn(&Folder, &str) -> rustix::io::Result<T>,
    ) -> Result<(Self, T), Failure> {
        let name = spot.path.temporary_name();
        crash_point();
        let made = make(&spot.folder, &name).map_err(|error| match error {
            Errno::EXIST => failures::in_the_way(spot.path),
            error => failures::io("create a file next to", spot.path, error),
        })?;
        Ok((Self { spot, name, placed: false }, made))
    }

    fn move_into_place(mut self, over: Option<&Stamp>) -> Result<(), Failure> {
        let Spot { folder, path } = self.spot;
        if !still_holds(self.spot, over)? {
            return Err(failures::changed_meanwhile(path));
        }
        rustix::fs::renameat(&**folder, self.name.as_str(), &**folder, path.file_name())
            .map_err(|error| failures::io("put in place", path, error))?;
        self.placed = true;
        crash_point();
        folder.sync().map_err(|error| failures::io("sync the folder of", path, error))?;
        crash_point();
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // Best effort: what stays is swept in the next pass, for the intent says so.
            let _ = rustix::fs::unlinkat(&*self.spot.folder, self.name.as_str(), AtFlags::empty());
        }
    }
}
