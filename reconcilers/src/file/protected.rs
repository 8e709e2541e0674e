//! What no resource may alter: the agent's own files and folders.
//!
//! They are recognised by what they are (device and inode) and not by how a path is spelt, so no
//! link, bind mount or second spelling leads around it. Those that do not exist yet are
//! recognised by the folder that would hold them.
//!
//! Where they are is found out once for each pass. Every step walks its own path anew, so a folder
//! that becomes a link in the middle of a pass leads to what is known. One of the agent's own files
//! or folders that is replaced then is still known by its name.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::stamp::{Inode, Stamp};

/// Links resolved for one protected path at most.
const MAX_LINKS: usize = 40;

/// The rule: which paths are protected from whom works below `root`.
#[derive(Debug)]
pub(super) struct Protection {
    root: PathBuf,
    paths: Vec<PathBuf>,
    last: Mutex<Option<Arc<Protected>>>,
}

impl Protection {
    pub(super) fn new(root: PathBuf, paths: Vec<PathBuf>) -> Self {
        Self { root, paths, last: Mutex::default() }
    }

    /// Finds out where they are, for a pass that begins.
    pub(super) fn resolve(&self) -> Arc<Protected> {
        let protected = Arc::new(Protected::resolve(&self.root, &self.paths));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&protected));
        protected
    }

    /// Where the last pass found them.
    pub(super) fn resolved(&self) -> Arc<Protected> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.unwrap_or_else(|| self.resolve())
    }
}

/// The protected paths as they were on the device at one moment.
#[derive(Debug, Default)]
pub(super) struct Protected {
    /// The files, the folders, and the links that lead to them.
    entries: HashSet<Inode>,
    /// Names below existing folders, by which they are or would be reached.
    names: Vec<(Inode, Vec<Vec<u8>>)>,
    holds_root: bool,
}

impl Protected {
    fn resolve(root: &Path, paths: &[PathBuf]) -> Self {
        let mut protected = Self::default();
        let mut looks = Looks::default();
        for path in paths {
            protected.add(path, &mut looks);
        }
        protected.holds_root = root.canonicalize().is_ok_and(|root| {
            root.ancestors().filter_map(|path| looks.at(path)).any(|stamp| protected.is_entry(stamp.inode))
        });
        protected
    }

    /// Whether this is a protected file or folder, or a link on the way to one.
    pub(super) fn is_entry(&self, inode: Inode) -> bool {
        self.entries.contains(&inode)
    }

    /// Whether `rest` below `folder` names something protected or a thing inside it.
    pub(super) fn is_named<'p>(&self, folder: Inode, rest: impl Iterator<Item = &'p [u8]> + Clone) -> bool {
        self.names.iter().any(|(holder, name)| {
            *holder == folder && {
                let mut rest = rest.clone();
                name.iter().all(|component| rest.next() == Some(component))
            }
        })
    }

    /// Whether a protected folder is the root or holds it.
    pub(super) fn holds_root(&self) -> bool {
        self.holds_root
    }

    fn add(&mut self, path: &Path, looks: &mut Looks) {
        let mut path = path.to_owned();
        for _ in 0..=MAX_LINKS {
            match self.add_up_to_link(&path, looks) {
                Some(resolved) => path = resolved,
                None => return,
            }
        }
    }

    /// Adds what `path` names; or, where a link comes first, the link, and returns where that
    /// leads.
    fn add_up_to_link(&mut self, path: &Path, looks: &mut Looks) -> Option<PathBuf> {
        let mut holder: Option<Inode> = None;
        let mut so_far = PathBuf::new();
        let mut components = path.components();
        while let Some(component) = components.next() {
            so_far.push(component);
            match looks.at(&so_far) {
                Some(stamp) if stamp.file_type().is_symlink() => {
                    self.entries.insert(stamp.inode);
                    let target = std::fs::read_link(&so_far).ok()?;
                    so_far.pop();
                    so_far.push(target);
                    return Some(so_far.join(components.as_path()));
                }
                Some(stamp) => {
                    let rest = components.as_path();
                    if rest.as_os_str().is_empty() {
                        self.entries.insert(stamp.inode);
                        if let (Some(holder), Component::Normal(name)) = (holder, component) {
                            self.names.push((holder, vec![name.as_bytes().to_vec()]));
                        }
                    }
                    holder = Some(stamp.inode);
                }
                None => {
                    let missing = Path::new(component.as_os_str()).join(components.as_path());
                    let name = missing.iter().map(OsStr::as_bytes).map(<[u8]>::to_vec).collect();
                    self.names.extend(holder.map(|holder| (holder, name)));
                    return None;
                }
            }
        }
        None
    }
}

/// What was seen on the way, where protected paths have most of it in common.
#[derive(Default)]
struct Looks(HashMap<PathBuf, Option<Stamp>>);

impl Looks {
    fn at(&mut self, path: &Path) -> Option<Stamp> {
        if let Some(seen) = self.0.get(path) {
            return *seen;
        }
        let seen = rustix::fs::lstat(path).ok().map(|stat| Stamp::new(&stat));
        self.0.insert(path.to_owned(), seen);
        seen
    }
}
