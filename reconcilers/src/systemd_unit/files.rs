//! The files of units: as declared, with our mark at the top, and as they are found. Blocking.
//!
//! ```text
//! # harmony-agent edge-0001 sha256:…: written for this device; what is changed here is undone
//! [Unit]
//! …
//! ```
//!
//! The mark names the agent and the content below it, so that a lost ledger costs nothing: what is still as
//! it was written is found again.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
        fchown,
    },
    path::{Path, PathBuf},
};

use agent_model::{AgentId, Claim, Digest, Failure, ResourceName, SystemdUnitSpec, TargetPath, UnitName};
use crash_point::crash_point;

use super::{
    failures,
    observation::FoundFile,
    originals::Originals,
    record::{OriginalFile, SystemdUnitRecord, WrittenFile},
};

/// How a mark begins, behind which the agent is named.
const MARK: &str = "# harmony-agent ";
/// Behind the content's digest, for people.
const ADVICE: &str = ": written for this device; what is changed here is undone\n";
/// The permissions of every file that is written.
pub(super) const MODE: u32 = 0o644;
/// No unit is larger. What is there and is, is not read.
const MAX_SIZE: u64 = 1 << 20;

/// The folder of systemd's that units are written to.
#[derive(Debug)]
pub(super) struct UnitFolder {
    folder: PathBuf,
    agent: AgentId,
}

/// The name of a unit's own file below the folder.
pub(super) fn own_file(unit: &UnitName) -> String {
    unit.as_str().to_owned()
}

/// The declared texts, by their files' names below the folder.
pub(super) fn declared(spec: &SystemdUnitSpec) -> BTreeMap<String, &str> {
    let own = spec.content.iter().map(|content| (own_file(&spec.unit), content.as_str()));
    let drop_ins =
        spec.drop_ins.iter().map(|(name, body)| (format!("{}.d/{name}", spec.unit), body.as_str()));
    own.chain(drop_ins).collect()
}

impl UnitFolder {
    pub(super) fn new(folder: PathBuf, agent: AgentId) -> Self {
        Self { folder, agent }
    }

    /// What a file holds that is to have this text.
    pub(super) fn marked(&self, text: &str) -> String {
        let digest = Digest::of_bytes(text.as_bytes());
        format!("{MARK}{} {digest}{ADVICE}{text}", self.agent)
    }

    /// What is below a mark of this agent's, if there is one and it tells the truth.
    fn below_mark<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let end = text.iter().position(|byte| *byte == b'\n')? + 1;
        let (mark, body) = text.split_at(end);
        let expected = format!("{MARK}{} {}{ADVICE}", self.agent, Digest::of_bytes(body));
        (mark == expected.as_bytes()).then_some(body)
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub(super) fn has_drop_ins_folder(&self, unit: &UnitName) -> bool {
        self.path(&format!("{unit}.d")).is_dir()
    }

    /// What lies there; `None` where nothing does.
    pub(super) fn look(&self, file: &str) -> Result<Option<FoundFile>, Failure> {
        let path = self.path(file);
        let folder = path.parent().unwrap_or(&self.folder);
        if folder != self.folder && fs::symlink_metadata(folder).is_ok_and(|found| !found.is_dir()) {
            return Ok(Some(FoundFile::Other("below something that is no folder")));
        }
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failures::io("look at", &path, &error)),
        };
        let kind = found.file_type();
        if !kind.is_file() {
            return Ok(Some(FoundFile::Other(match () {
                () if kind.is_symlink() => "a link, by which it is another unit or masked,",
                () if kind.is_dir() => "a folder",
                () if kind.is_fifo() || kind.is_socket() => "a pipe or a socket",
                () => "no regular file",
            })));
        }
        let text = read(&path).map_err(|error| failures::io("read", &path, &error))?;
        let file = OriginalFile {
            content: Digest::of_bytes(&text),
            mode: found.permissions().mode() & 0o7777,
            uid: found.uid(),
            gid: found.gid(),
        };
        let body = Digest::of_bytes(self.below_mark(&text).unwrap_or(&text));
        Ok(Some(FoundFile::Regular { file, size: found.len(), body }))
    }

    /// Puts a file there, if what lies there is still what was seen.
    pub(super) fn put(
        &self,
        file: &str,
        text: &[u8],
        like: Option<OriginalFile>,
        over: Option<Digest>,
    ) -> Result<(), Failure> {
        let path = self.path(file);
        let folder = path.parent().unwrap_or(&self.folder);
        let cannot = |error| failures::io("write", &path, &error);
        match DirBuilder::new().mode(0o755).create(folder) {
            Ok(()) => {
                crash_point();
                fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(cannot)?;
                sync(&self.folder).map_err(cannot)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failures::io("make the folder", folder, &error)),
        }
        let found = self.content(&path).map_err(cannot)?;
        if found == Some(Digest::of_bytes(text)) && like.is_none() && mode(&path) == Some(MODE) {
            // Done already, before a crash.
            return Ok(());
        }
        if found != over {
            return Err(failures::changed_meanwhile(&path));
        }
        let temporary = temporary(folder, &path);
        let placed = fill(&temporary, text, like).and_then(|()| {
            crash_point();
            fs::rename(&temporary, &path)?;
            crash_point();
            sync(folder)
        });
        placed.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            cannot(error)
        })
    }

    /// Removes a file, if it is still what was seen.
    pub(super) fn remove(&self, file: &str, over: Digest) -> Result<(), Failure> {
        let path = self.path(file);
        let cannot = |error| failures::io("remove", &path, &error);
        match self.content(&path).map_err(cannot)? {
            None => return Ok(()),
            Some(found) if found != over => return Err(failures::changed_meanwhile(&path)),
            Some(_) => {}
        }
        crash_point();
        fs::remove_file(&path).map_err(cannot)?;
        crash_point();
        sync(path.parent().unwrap_or(&self.folder)).map_err(cannot)
    }

    /// Removes the folder of a unit's drop-ins where nothing is in it.
    pub(super) fn remove_folder(&self, unit: &UnitName) -> Result<(), Failure> {
        let path = self.path(&format!("{unit}.d"));
        match fs::remove_dir(&path) {
            Ok(()) => sync(&self.folder).map_err(|error| failures::io("remove", &path, &error)),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) =>
            {
                Ok(())
            }
            Err(error) => Err(failures::io("remove the folder", &path, &error)),
        }
    }

    /// Removes what a crash may have left of a file on its way.
    pub(super) fn sweep(&self, file: &str) {
        let path = self.path(file);
        let _ = fs::remove_file(temporary(path.parent().unwrap_or(&self.folder), &path));
    }

    /// Keeps a copy of what lies there.
    pub(super) fn keep(
        &self,
        file: &str,
        original: OriginalFile,
        originals: &Originals,
    ) -> Result<(), Failure> {
        let path = self.path(file);
        let text = read(&path).map_err(|error| failures::io("read", &path, &error))?;
        if Digest::of_bytes(&text) != original.content {
            return Err(failures::changed_meanwhile(&path));
        }
        originals.keep(&text)
    }

    fn content(&self, path: &Path) -> io::Result<Option<Digest>> {
        match read(path) {
            Ok(text) => Ok(Some(Digest::of_bytes(&text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The units with a file of this agent's, and what can be told of each from the marks.
    pub(super) fn all_marked(&self) -> Vec<(Claim, ResourceName, SystemdUnitRecord)> {
        let mut units: BTreeMap<UnitName, SystemdUnitRecord> = BTreeMap::new();
        let mut note = |file: String| {
            let unit = file.parse::<TargetPath>().ok().as_ref().and_then(UnitName::owning);
            let name =
                Path::new(&file).strip_prefix(super::FOLDER).ok().map(|name| name.display().to_string());
            let Some((unit, name)) = unit.zip(name) else { return };
            let Ok(Some(FoundFile::Regular { file, body, .. })) = self.look(&name) else { return };
            if body != file.content {
                let written = WrittenFile { written: Some(file.content), ..WrittenFile::default() };
                units.entry(unit).or_default().files.insert(name, written);
            }
        };
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        };
        for name in names(&self.folder) {
            if name.ends_with(".d") {
                names(&self.path(&name))
                    .into_iter()
                    .for_each(|below| note(format!("{}/{name}/{below}", super::FOLDER)));
            } else {
                note(format!("{}/{name}", super::FOLDER));
            }
        }
        let found =
            units.into_iter().filter_map(|(unit, record)| Some((unit.clone(), name_for(&unit)?, record)));
        found.map(|(unit, name, record)| (Claim::SystemdUnit(unit), name, record)).collect()
    }
}

/// A name for a unit that nothing declares any more.
fn name_for(unit: &UnitName) -> Option<ResourceName> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = unit.as_str().chars().map(plain).take(63).collect();
    name.trim_matches('-').parse().ok()
}

/// The first bytes of a file, of which a unit never has more.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    let mut text = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn mode(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|found| found.permissions().mode() & 0o7777)
}

/// Where a file is on its way to `path`, which no document can declare.
fn temporary(folder: &Path, path: &Path) -> PathBuf {
    let name = path.display().to_string().parse::<TargetPath>().map(|path| path.temporary_name());
    folder.join(name.unwrap_or_else(|_| ".harmony.tmp".to_owned()))
}

fn fill(temporary: &Path, text: &[u8], like: Option<OriginalFile>) -> io::Result<()> {
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    crash_point();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(text)?;
    if let Some(like) = like {
        fchown(&file, Some(like.uid), Some(like.gid))?;
    }
    file.set_permissions(fs::Permissions::from_mode(like.map_or(MODE, |like| like.mode)))?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Longest file that is kept until it comes back, in bytes.
pub(super) const MAX_ORIGINAL: u64 = MAX_SIZE;
