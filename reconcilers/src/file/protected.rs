//! What no resource may alter: the agent's own files and folders.
//!
//! They are recognised by what they are (device and inode) and not by how a path is spelt, so no
//! link, bind mount or second spelling leads around it. Those that do not exist yet are
//! recognised by the folder that would hold them.

use std::{
    collections::HashSet,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use super::stamp::{Inode, Stamp};

/// Links resolved for one protected path at most.
const MAX_LINKS: usize = 40;

/// The protected paths as they are on the device at this moment.
#[derive(Debug, Default)]
pub(super) struct Protected {
    /// The files, the folders, and the links that lead to them.
    entries: HashSet<Inode>,
    /// Names below existing folders, by which they are or would be reached.
    names: Vec<(Inode, Vec<Vec<u8>>)>,
}

impl Protected {
    pub(super) fn resolve(paths: &[PathBuf]) -> Self {
        let mut protected = Self::default();
        for path in paths {
            protected.add(path);
        }
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

    /// Whether a protected folder is `root` or holds it.
    pub(super) fn holds_root(&self, root: &Path) -> bool {
        root.canonicalize()
            .is_ok_and(|root| root.ancestors().filter_map(lstat).any(|stamp| self.is_entry(stamp.inode)))
    }

    fn add(&mut self, path: &Path) {
        let mut path = path.to_owned();
        for _ in 0..=MAX_LINKS {
            match self.add_up_to_link(&path) {
                Some(resolved) => path = resolved,
                None => return,
            }
        }
    }

    /// Adds what `path` names; or, where a link comes first, the link, and returns where that
    /// leads.
    fn add_up_to_link(&mut self, path: &Path) -> Option<PathBuf> {
        let mut holder: Option<Inode> = None;
        let mut so_far = PathBuf::new();
        let mut components = path.components();
        while let Some(component) = components.next() {
            so_far.push(component);
            match lstat(&so_far) {
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

fn lstat(path: &Path) -> Option<Stamp> {
    rustix::fs::lstat(path).ok().map(|stat| Stamp::new(&stat))
}
