//! Finds the folder of a path, one component at a time and never by name twice.
//!
//! Every folder is opened below the one before it, so nothing can be swapped between a check and
//! its use. Links are followed where nobody but root and the agent's user could have placed them,
//! and never out of the root: an absolute one starts again at the root, and `..` stops there.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    rc::Rc,
};

use agent_model::{Failure, TargetPath};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags},
    io::Errno,
};

use super::{
    failures,
    protected::Protected,
    stamp::{Inode, Stamp},
    watcher::{Reach, Watcher},
};

/// Links followed on one walk at most, as in the kernel's own (`MAXSYMLINKS`).
const MAX_LINKS: u32 = 40;

/// A folder held open by itself, whatever becomes of its name.
pub(super) struct Folder {
    fd: OwnedFd,
    stamp: Stamp,
    /// Where `..` leads; the root has none.
    above: Option<Rc<Folder>>,
}

impl Folder {
    pub(super) fn inode(&self) -> Inode {
        self.stamp.inode
    }

    /// The folder under a name that follows it, for calls that take no descriptor. Such a name
    /// also gives the access that the `O_PATH` descriptor itself does not have.
    pub(super) fn proc_path(&self) -> String {
        proc_path(&self.fd)
    }

    /// What lies in the folder under `name`, links not followed.
    pub(super) fn stat(&self, name: &str) -> io::Result<Option<Stamp>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Stamp::new(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes what was created, renamed or removed in the folder survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, ".", flags, Mode::empty()) {
            Ok(folder) => match rustix::fs::fsync(folder) {
                // Some file systems have no such thing, and nothing better either.
                Err(Errno::INVAL) => Ok(()),
                result => Ok(result?),
            },
            // A folder that may be written to but not read cannot be synced by anyone like us.
            Err(Errno::ACCESS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether nobody but root and `user` can have placed an entry here.
    fn is_trusted(&self, user: u32) -> bool {
        [0, user].contains(&self.stamp.uid) && self.stamp.raw_mode & 0o022 == 0
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A name for an open descriptor that leads to exactly what it holds.
pub(super) fn proc_path(fd: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Where a path leads.
pub(super) enum Location {
    /// Into this folder, under the path's last component.
    Folder(Rc<Folder>),
    /// Nowhere: these folders do not exist, the topmost first.
    Missing(Vec<TargetPath>),
}

/// Walks to the folders of many paths. Paths that come sorted share the folders they have in
/// common; no more are open at once than the deepest path has.
pub(super) struct Walker<'a> {
    protected: &'a Protected,
    watcher: &'a Watcher,
    /// The agent's own user.
    user: u32,
    /// From the root down to where the last walk came, as `walked` spells it.
    chain: Vec<Link>,
    walked: String,
}

/// One component of the walk, as written.
struct Link {
    folder: Rc<Folder>,
    /// Where its name ends in [`Walker::walked`].
    end: usize,
    /// Links followed so far.
    links: u32,
    /// Whether it is watched for the folders on the way, and for the files in it.
    watched: (bool, bool),
}

impl Link {
    fn new(folder: Rc<Folder>, end: usize, links: u32) -> Self {
        Self { folder, end, links, watched: (false, false) }
    }
}

/// Why a component was not entered.
enum Stop {
    Missing,
    Failed(Failure),
}

impl<'a> Walker<'a> {
    /// Starts at `root`. Every folder on a walk is watched before anything is looked up in it, so
    /// that no change falls between the two.
    pub(super) fn open(root: &Path, protected: &'a Protected, watcher: &'a Watcher) -> Result<Self, Failure> {
        let opened =
            rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .and_then(|fd| Ok((Stamp::new(&rustix::fs::fstat(&fd)?), fd)));
        let (stamp, fd) = opened.map_err(|error| failures::io("open the root", root.display(), error))?;
        if protected.holds_root() {
            return Err(failures::denied(root.display()));
        }
        let folder = Rc::new(Folder { fd, stamp, above: None });
        Ok(Self {
            protected,
            watcher,
            user: rustix::process::geteuid().as_raw(),
            chain: vec![Link::new(folder, 0, 0)],
            walked: String::new(),
        })
    }

    /// Finds the folder of `path`.
    pub(super) fn locate(&mut self, path: &TargetPath) -> Result<Location, Failure> {
        let text = path.as_str();
        let (mut at, mut end, mut links) = self.common(text);
        while let Some(length) = text[end + 1..].find('/') {
            let next = end + 1 + length;
            let (name, walked) = (&text[end + 1..next], &text[..next]);
            self.watch_last(Reach::through(&text[..end]));
            self.refuse_protected(&at, text, end)?;
            match self.enter(&at, name, walked, links) {
                Ok((folder, followed)) => {
                    (at, end, links) = (folder, next, followed);
                    self.walked.push_str(&walked[self.walked.len()..]);
                    self.chain.push(Link::new(Rc::clone(&at), end, links));
                }
                Err(Stop::Missing) => {
                    let missing = path.ancestors().filter(|ancestor| ancestor.len() > end);
                    return Ok(Location::Missing(missing.filter_map(|path| path.parse().ok()).collect()));
                }
                Err(Stop::Failed(failure)) => return Err(failure),
            }
        }
        self.watch_last(Reach::into(&text[..end]));
        self.refuse_protected(&at, text, end)?;
        Ok(Location::Folder(at))
    }

    /// What lies at the end of `path` in `folder`, unless that is one of the agent's own.
    pub(super) fn look(&self, folder: &Folder, path: &TargetPath) -> Result<Option<Stamp>, Failure> {
        let found = folder.stat(path.file_name()).map_err(|error| failures::io("look at", path, error))?;
        match found {
            Some(stamp) if self.protected.is_entry(stamp.inode) => Err(failures::denied(path)),
            found => Ok(found),
        }
    }

    /// Goes back up to the last folder that lies above `text`.
    fn common(&mut self, text: &str) -> (Rc<Folder>, usize, u32) {
        let shared = |walked: &str, end: usize| {
            text.len() > end
                && text.as_bytes()[end] == b'/'
                && text.as_bytes()[..end] == walked.as_bytes()[..end]
        };
        let keep = self.chain.iter().rposition(|link| shared(&self.walked, link.end)).unwrap_or(0);
        self.chain.truncate(keep + 1);
        let Link { folder, end, links, .. } = &self.chain[keep];
        self.walked.truncate(*end);
        (Rc::clone(folder), *end, *links)
    }

    /// Enters `name` in `from`, following links; `walked` is the path so far, for messages.
    fn enter(
        &self,
        from: &Rc<Folder>,
        name: &str,
        walked: &str,
        links: u32,
    ) -> Result<(Rc<Folder>, u32), Stop> {
        let failed = |failure| Err(Stop::Failed(failure));
        let mut at = Rc::clone(from);
        let mut followed = links;
        let mut ahead = vec![name.as_bytes().to_vec()];
        while let Some(name) = ahead.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = at.above.as_ref().map_or_else(|| Rc::clone(&at), Rc::clone);
                    continue;
                }
                _ => {}
            }
            if followed > links {
                self.watcher.watch(&at, Reach::via(&name, walked));
                let rest = std::iter::once(&name).chain(ahead.iter().rev()).map(Vec::as_slice);
                if self.protected.is_named(at.inode(), rest) {
                    return failed(failures::denied(walked));
                }
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(&at.fd, name.as_slice(), flags, Mode::empty())
                .and_then(|fd| Ok((Stamp::new(&rustix::fs::fstat(&fd)?), fd)));
            let (stamp, fd) = match opened {
                Ok(opened) => opened,
                Err(Errno::NOENT) if followed == links => return Err(Stop::Missing),
                Err(Errno::NOENT) => {
                    return failed(failures::not_a_directory(walked, "a symbolic link to nothing"));
                }
                Err(error) => return failed(failures::io("open the folder", walked, error)),
            };
            match stamp.file_type() {
                FileType::Directory if self.protected.is_entry(stamp.inode) => {
                    return failed(failures::denied(walked));
                }
                FileType::Directory => at = Rc::new(Folder { fd, stamp, above: Some(at) }),
                FileType::Symlink => {
                    if ![0, self.user].contains(&stamp.uid) {
                        return failed(failures::unsafe_path(walked, "the link belongs to somebody else"));
                    }
                    if !at.is_trusted(self.user) {
                        return failed(failures::unsafe_path(
                            walked,
                            "somebody else owns or may write to the folder that holds it",
                        ));
                    }
                    followed += 1;
                    if followed > MAX_LINKS {
                        return failed(failures::unsafe_path(walked, "the path has more than 40 links"));
                    }
                    let target = rustix::fs::readlinkat(&fd, "", Vec::new())
                        .map_err(|error| Stop::Failed(failures::io("read the link", walked, error)))?;
                    if target.as_bytes().starts_with(b"/") {
                        at = Rc::clone(&self.chain[0].folder);
                    }
                    ahead.extend(target.as_bytes().split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
                }
                other => return failed(failures::not_a_directory(walked, kind(other))),
            }
        }
        Ok((at, followed))
    }

    /// Watches the folder that the walk came to, once for all paths that lead through it.
    fn watch_last(&mut self, reach: Reach<'_>) {
        if let Some(link) = self.chain.last_mut() {
            let (through, into) = &mut link.watched;
            let watched = if reach.is_into() { into } else { through };
            if !std::mem::replace(watched, true) {
                self.watcher.watch(&link.folder, reach);
            }
        }
    }

    /// Refuses a path whose rest, from `end` on, names one of the agent's own below `folder`,
    /// whether or not that exists yet.
    fn refuse_protected(&self, folder: &Folder, path: &str, end: usize) -> Result<(), Failure> {
        let rest = path[end + 1..].split('/').map(str::as_bytes);
        if self.protected.is_named(folder.inode(), rest) { Err(failures::denied(path)) } else { Ok(()) }
    }
}

/// A type of file in words that follow "is".
pub(super) fn kind(file_type: FileType) -> &'static str {
    match file_type {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "no regular file",
    }
}
