//! Does one step. Blocking; decides nothing.

use std::{fs::File, io::Write as _, rc::Rc, sync::PoisonError};

use agent_model::{Content, Digest, Failure, MaybeSealed, TargetPath, Unsealer};
use crash_point::crash_point;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags},
    io::Errno,
};
use zeroize::Zeroizing;

use super::{
    Device, content, failures,
    record::{Attributes, Fingerprint, Original},
    replace::{self, Spot},
    sightings::Sighting,
    stamp::Stamp,
    step::{FileAction, FileStep},
    walk::{Folder, Location, Walker, proc_path},
};

/// Does `step`; `declared` is the content that the file should have, if it should be there.
pub(super) fn apply(
    device: &Device,
    step: &FileStep,
    declared: Option<&MaybeSealed<Content>>,
) -> Result<(), Failure> {
    let path = &step.path;
    let _altering = device.sightings.altering(path);
    let protected = device.protection.resolved();
    let mut walker = Walker::open(&device.root, &protected, &device.watcher)?;
    match &step.action {
        FileAction::SweepTemporary => match walker.locate(path)? {
            Location::Folder(folder) => replace::sweep_temporary(&Spot { folder, path }),
            Location::Missing(_) => Ok(()),
        },
        FileAction::KeepOriginal(original) => keep_original(device, &mut walker, path, *original),
        FileAction::Write { attributes, parents, over } => {
            // Only ever planned for a declared file.
            let Some(content) = declared else { return Err(failures::changed_meanwhile(path)) };
            let _folders_stay = device.folders.read().unwrap_or_else(PoisonError::into_inner);
            make_parents(&mut walker, parents)?;
            write(device, &spot(&mut walker, path)?, content, *attributes, over.as_ref())
        }
        FileAction::SetAttributes { attributes, of } => {
            set_attributes(device, &spot(&mut walker, path)?, *attributes, of, declared)
        }
        FileAction::Restore { original, over } => restore(device, &spot(&mut walker, path)?, original, over),
        FileAction::RemoveParents(parents) => {
            let _nobody_writes = device.folders.write().unwrap_or_else(PoisonError::into_inner);
            remove_parents(&mut walker, parents)
        }
    }
}

/// A declared content for the moment in which it is written.
enum Opened<'c> {
    Plain(&'c Content),
    Sealed(Zeroizing<Vec<u8>>),
}

impl<'c> Opened<'c> {
    fn of(content: &'c MaybeSealed<Content>, unsealer: &dyn Unsealer) -> Result<Self, Failure> {
        Ok(match content {
            MaybeSealed::Plain(content) => Self::Plain(content),
            MaybeSealed::Sealed(sealed) => Self::Sealed(sealed.open(unsealer)?),
        })
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(content) => content.bytes(),
            Self::Sealed(bytes) => bytes,
        }
    }

    fn digest(&self) -> Digest {
        match self {
            Self::Plain(content) => content.digest(),
            Self::Sealed(bytes) => Digest::of_bytes(bytes),
        }
    }
}

/// The path with its folder held open, after a look that it is none of the agent's own.
fn spot<'p>(walker: &mut Walker<'_>, path: &'p TargetPath) -> Result<Spot<'p>, Failure> {
    let Location::Folder(folder) = walker.locate(path)? else { return Err(failures::parent_lost(path)) };
    walker.look(&folder, path)?;
    Ok(Spot { folder, path })
}

fn keep_original(
    device: &Device,
    walker: &mut Walker<'_>,
    path: &TargetPath,
    original: Fingerprint,
) -> Result<(), Failure> {
    let Spot { folder, .. } = spot(walker, path)?;
    let opened = content::open_own(&folder, path.file_name())
        .map_err(|error| failures::io("read the original of", path, error))?;
    let Some((mut file, _)) = opened else { return Err(failures::changed_meanwhile(path)) };
    device.originals.keep(path, &mut file, original)
}

fn write(
    device: &Device,
    spot: &Spot<'_>,
    content: &MaybeSealed<Content>,
    attributes: Attributes,
    over: Option<&Stamp>,
) -> Result<(), Failure> {
    let path = spot.path;
    let content = Opened::of(content, &*device.unsealer)?;
    if !replace::still_holds(spot, over)? {
        // Done already, or not what was looked at.
        let wanted = Fingerprint::plain(content.digest(), content.bytes().len() as u64);
        return if is_as_declared(spot, wanted, attributes)? {
            Ok(())
        } else {
            Err(failures::changed_meanwhile(path))
        };
    }
    let stamp = replace::put_file(spot, over, attributes, |file| {
        file.write_all(content.bytes()).map_err(|error| failures::io("write", path, error))
    })?;
    remember(device, path, stamp, Some(content.digest()));
    Ok(())
}

fn is_as_declared(spot: &Spot<'_>, wanted: Fingerprint, attributes: Attributes) -> Result<bool, Failure> {
    let cannot = |error| failures::io("read", spot.path, error);
    let opened = content::open_regular(&spot.folder, spot.path.file_name()).map_err(cannot)?;
    let Some((mut file, stamp)) = opened else { return Ok(false) };
    let found = content::copy(&mut file, &mut std::io::sink(), wanted.size).map_err(cannot)?;
    Ok(found == wanted && stamp.attributes() == attributes)
}

fn set_attributes(
    device: &Device,
    spot: &Spot<'_>,
    attributes: Attributes,
    of: &Stamp,
    declared: Option<&MaybeSealed<Content>>,
) -> Result<(), Failure> {
    let path = spot.path;
    let cannot = |error| failures::io("set mode and owner of", path, error);
    let file: File = match content::open_own(&spot.folder, path.file_name()).map_err(cannot)? {
        Some((file, stamp)) if stamp.same_content(of) && stamp.links == of.links => file,
        _ => return Err(failures::changed_meanwhile(path)),
    };
    crash_point();
    replace::give(&file, attributes).map_err(|error| cannot(error.into()))?;
    crash_point();
    file.sync_all().map_err(cannot)?;
    let stamp = Stamp::new(&rustix::fs::fstat(&file).map_err(|error| cannot(error.into()))?);
    let content = declared.map(|content| Opened::of(content, &*device.unsealer)).transpose()?;
    remember(device, path, stamp, content.map(|content| content.digest()));
    failures::unless_held(path, attributes, stamp.attributes())
}

/// Lets the events that we caused ourselves be told from others.
fn remember(device: &Device, path: &TargetPath, stamp: Stamp, content: Option<Digest>) {
    let sighting = Sighting::new(Some(stamp), content, (device.sightings.clock)());
    device.sightings.saw(path, sighting);
}

fn restore(device: &Device, spot: &Spot<'_>, original: &Original, over: &Stamp) -> Result<(), Failure> {
    let path = spot.path;
    match original {
        Original::File { content, attributes } => {
            replace::put_file(spot, Some(over), *attributes, |file| {
                device.originals.give_back(path, *content, file)
            })?;
            Ok(())
        }
        Original::Symlink { target, uid, gid } => replace::put_link(spot, Some(over), target, *uid, *gid),
        Original::Absent if replace::still_holds(spot, None)? => Ok(()),
        Original::Absent if !replace::still_holds(spot, Some(over))? => {
            Err(failures::changed_meanwhile(path))
        }
        Original::Absent => {
            crash_point();
            rustix::fs::unlinkat(&*spot.folder, path.file_name(), AtFlags::empty())
                .map_err(|error| failures::io("remove", path, error))?;
            crash_point();
            sync(&spot.folder, path)
        }
    }
}

/// Creates those of the folders that are missing, the topmost first.
fn make_parents(walker: &mut Walker<'_>, parents: &[TargetPath]) -> Result<(), Failure> {
    for parent in parents {
        let Location::Folder(above) = walker.locate(parent)? else {
            return Err(failures::parent_lost(parent));
        };
        crash_point();
        match rustix::fs::mkdirat(&*above, parent.file_name(), Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                crash_point();
                undo_umask(&above, parent).map_err(|error| failures::io("set the mode of", parent, error))?;
                sync(&above, parent)?;
                crash_point();
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(failures::io("create the folder", parent, error)),
        }
    }
    Ok(())
}

/// Gives a folder that was just created the permissions that the umask withheld.
fn undo_umask(above: &Rc<Folder>, parent: &TargetPath) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(&**above, parent.file_name(), flags, Mode::empty())?;
    let stamp = Stamp::new(&rustix::fs::fstat(&folder)?);
    let ours = stamp.uid == rustix::process::geteuid().as_raw();
    if ours && stamp.raw_mode & 0o777 != 0o755 {
        // `fchmod` wants more than an `O_PATH` descriptor.
        rustix::fs::chmodat(CWD, proc_path(&folder), Mode::from_raw_mode(0o755), AtFlags::empty())?;
    }
    Ok(())
}

/// Removes those of the folders that are empty, the last first.
fn remove_parents(walker: &mut Walker<'_>, parents: &[TargetPath]) -> Result<(), Failure> {
    for parent in parents.iter().rev() {
        let above = match walker.locate(parent) {
            Ok(Location::Folder(above)) => above,
            Ok(Location::Missing(_)) => continue,
            Err(failure) if failure.reason == failures::NOT_A_DIRECTORY => continue,
            Err(failure) => return Err(failure),
        };
        walker.look(&above, parent)?;
        crash_point();
        match rustix::fs::unlinkat(&*above, parent.file_name(), AtFlags::REMOVEDIR) {
            Ok(()) => {
                crash_point();
                sync(&above, parent)?;
            }
            // Gone already, or something else by now.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            // In use by others; a mount point is busy.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::BUSY) => return Ok(()),
            Err(error) => return Err(failures::io("remove the folder", parent, error)),
        }
    }
    Ok(())
}

fn sync(folder: &Folder, path: &TargetPath) -> Result<(), Failure> {
    folder.sync().map_err(|error| failures::io("sync the folder of", path, error))
}
