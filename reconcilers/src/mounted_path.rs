//! Where a path really lies that is mounted into a container or a job's sandbox, and whether it stays there.
//!
//! Policy judges the path as it is written (see `docs/policy.md`). Whoever mounts it takes it by name, a moment after
//! it was judged. So nobody but root and the agent's user may be able to put something else in its place: on the way
//! there every folder is theirs, or sticky with what is theirs in it.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use agent_model::TargetPath;

/// Links followed on one way at most, as in the kernel's own (`MAXSYMLINKS`).
const MAX_LINKS: u32 = 40;

/// Why a path is not mounted.
#[derive(Debug)]
pub(crate) enum Unmountable {
    /// This on the way there cannot be looked at, mostly because it does not exist.
    Unreachable(PathBuf, io::Error),
    /// Others than root and the agent's user could put something else here.
    Replaceable(PathBuf),
    /// Following its links does not come to an end.
    TooManyLinks,
    /// It leads to these files of the agent's own, or holds them.
    Own(PathBuf),
}

/// The path without links. Blocking.
///
/// # Errors
/// When it is not there, somebody else could replace it, or it is, holds or lies below what the agent has as its `own`.
pub(crate) fn find(path: &TargetPath, own: &[PathBuf]) -> Result<PathBuf, Unmountable> {
    let found = follow(Path::new(path.as_str()))?;
    match own.iter().find(|own| found.starts_with(own) || own.starts_with(&found)) {
        Some(own) => Err(Unmountable::Own(own.clone())),
        None => Ok(found),
    }
}

fn follow(path: &Path) -> Result<PathBuf, Unmountable> {
    let user = rustix::process::geteuid().as_raw();
    let mut links = 0;
    let mut at = PathBuf::from("/");
    let mut ahead: VecDeque<OsString> = names(path).collect();
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(name);
        let folder = look(&at)?;
        let entry = look(&next)?;
        if !holds_safely(&folder, &entry, user) {
            return Err(Unmountable::Replaceable(at));
        }
        if !entry.is_symlink() {
            at = next;
            continue;
        }
        if ![0, user].contains(&entry.uid()) {
            return Err(Unmountable::Replaceable(next));
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Unmountable::TooManyLinks);
        }
        let target = fs::read_link(&next).map_err(|error| Unmountable::Unreachable(next, error))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for name in names(&target).rev() {
            ahead.push_front(name);
        }
    }
    Ok(at)
}

fn look(path: &Path) -> Result<Metadata, Unmountable> {
    fs::symlink_metadata(path).map_err(|error| Unmountable::Unreachable(path.to_owned(), error))
}

/// The names in a path, and `..` where it goes up.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Whether nobody but root and `user` can put something else in the place of the folder's entry.
fn holds_safely(folder: &Metadata, entry: &Metadata, user: u32) -> bool {
    let theirs = |metadata: &Metadata| [0, user].contains(&metadata.uid());
    let others_may_write = folder.mode() & 0o022 != 0;
    let is_sticky = folder.mode() & 0o1000 != 0;
    theirs(folder) && (!others_may_write || (is_sticky && theirs(entry)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// A folder that only its owner may write to, with `data` and `state` in it.
    struct Ground(tempfile::TempDir);

    impl Ground {
        fn new() -> Self {
            let ground = Self(tempfile::tempdir().unwrap());
            for folder in ["data", "state"] {
                fs::create_dir(ground.at(folder)).unwrap();
            }
            ground.set_mode(0o755);
            ground
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(path)
        }

        fn set_mode(&self, mode: u32) {
            fs::set_permissions(self.0.path(), fs::Permissions::from_mode(mode)).unwrap();
        }

        /// Where the path leads in it, or why it does not.
        fn find(&self, path: &str) -> Result<String, Unmountable> {
            let written = self.at(path).to_str().unwrap().trim_end_matches('/').parse().unwrap();
            let found = find(&written, &[self.at("state")])?;
            Ok(found.strip_prefix(self.at("")).unwrap().to_str().unwrap().to_owned())
        }
    }

    #[test]
    fn a_path_is_where_trusted_links_lead() {
        let ground = Ground::new();
        symlink("data", ground.at("link")).unwrap();
        symlink(ground.at("link/../link"), ground.at("far")).unwrap();
        for path in ["data", "link", "far"] {
            assert_eq!(ground.find(path).unwrap(), "data", "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let ground = Ground::new();
        symlink("/nonexistent/x", ground.at("dangling")).unwrap();
        assert!(
            matches!(ground.find("none"), Err(Unmountable::Unreachable(at, _)) if at == ground.at("none"))
        );
        let Err(Unmountable::Unreachable(at, _)) = ground.find("dangling") else {
            panic!("it led somewhere")
        };
        assert_eq!(at, Path::new("/nonexistent"));
    }

    #[test]
    fn links_that_lead_round_come_to_an_end() {
        let ground = Ground::new();
        symlink("round", ground.at("round")).unwrap();
        assert!(matches!(ground.find("round"), Err(Unmountable::TooManyLinks)));
    }

    #[test]
    fn a_place_in_which_somebody_else_could_put_something_is_refused() {
        let ground = Ground::new();
        let is_refused = || matches!(ground.find("data"), Err(Unmountable::Replaceable(_)));
        for open in [0o777, 0o775] {
            ground.set_mode(open);
            assert!(is_refused(), "{open:o}");
        }
        ground.set_mode(0o1777);
        assert_eq!(ground.find("data").unwrap(), "data");
        chown(ground.at("data"), Some(65534), None).unwrap();
        assert!(is_refused(), "its owner could rename it");
        ground.set_mode(0o755);
        assert_eq!(ground.find("data").unwrap(), "data");
        chown(ground.at(""), Some(65534), None).unwrap();
        assert!(is_refused(), "the owner of the folder could rename it");
    }

    #[test]
    fn a_link_of_somebody_else_is_not_followed() {
        let ground = Ground::new();
        symlink("data", ground.at("link")).unwrap();
        std::os::unix::fs::lchown(ground.at("link"), Some(65534), None).unwrap();
        assert!(matches!(ground.find("link"), Err(Unmountable::Replaceable(_))));
    }

    #[test]
    fn neither_the_agents_own_files_nor_what_is_above_or_below_them_is_mounted() {
        let ground = Ground::new();
        symlink("state", ground.at("innocent")).unwrap();
        fs::create_dir(ground.at("state/deep")).unwrap();
        for path in ["state", "state/deep", "innocent", "innocent/deep", ""] {
            assert!(
                matches!(ground.find(path), Err(Unmountable::Own(own)) if own == ground.at("state")),
                "{path}"
            );
        }
    }
}
