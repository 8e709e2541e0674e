//! The folders and files that a job can write in: found on the device, and judged as a `File` judges its folders.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use agent_model::{Failure, TargetPath};

use super::failures;

/// Links followed on one way at most, as in the kernel's own (`MAXSYMLINKS`).
const MAX_LINKS: u32 = 40;

/// Where the path really lies. It is what is mounted, so nobody but root and the agent's user may be able to put
/// something else in its place: on the way there every folder is theirs, or sticky with what is theirs in it. Blocking.
///
/// # Errors
/// When it is not there, anybody else could replace it, or it leads to files of the agent's own.
pub(super) fn writable(path: &TargetPath, own: &[PathBuf]) -> Result<PathBuf, Failure> {
    let real = resolve(path)?;
    if let Some(own) = own.iter().find(|own| real.starts_with(own) || own.starts_with(&real)) {
        return Err(failures::own_files(path, own));
    }
    Ok(real)
}

fn resolve(path: &TargetPath) -> Result<PathBuf, Failure> {
    let user = rustix::process::geteuid().as_raw();
    let mut left: Vec<String> = path.components().rev().map(str::to_owned).collect();
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    let unusable = |at: &Path, error: &io::Error| failures::place_unusable(path, at, error);
    while let Some(next) = left.pop() {
        let folder = fs::symlink_metadata(&at).map_err(|error| unusable(&at, &error))?;
        let entry_path = at.join(&next);
        let entry = fs::symlink_metadata(&entry_path).map_err(|error| unusable(&entry_path, &error))?;
        if !holds_safely(&folder, &entry, user) {
            return Err(failures::unsafe_place(path, &at));
        }
        if !entry.is_symlink() {
            at = entry_path;
            continue;
        }
        links += 1;
        if ![0, user].contains(&entry.uid()) || links > MAX_LINKS {
            return Err(failures::unsafe_place(path, &entry_path));
        }
        let target = fs::read_link(&entry_path).map_err(|error| unusable(&entry_path, &error))?;
        for component in target.components().rev() {
            match component {
                Component::RootDir => at = PathBuf::from("/"),
                Component::Normal(name) => match name.to_str() {
                    Some(name) => left.push(name.to_owned()),
                    None => return Err(failures::unsafe_place(path, &entry_path)),
                },
                Component::CurDir => {}
                // Rare in what leads to a place of one's own, and not worth another rule.
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(failures::unsafe_place(path, &entry_path));
                }
            }
        }
    }
    Ok(at)
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

    fn path(path: &Path) -> TargetPath {
        path.to_str().unwrap().parse().unwrap()
    }

    fn reason(path: &TargetPath, own: &[PathBuf]) -> String {
        writable(path, own).unwrap_err().reason.into_owned()
    }

    #[test]
    fn a_place_is_where_its_links_lead_as_long_as_nobody_else_can_place_them() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        let [data, link, dangling] = ["data", "link", "dangling"].map(|name| real.join(name));
        fs::create_dir(&data).unwrap();
        symlink(&data, &link).unwrap();
        symlink("/nonexistent/x", &dangling).unwrap();
        assert_eq!(writable(&path(&data), &[]).unwrap(), data);
        assert_eq!(writable(&path(&link), &[]).unwrap(), data);
        assert_eq!(reason(&path(&dangling), &[]), "WritablePathMissing");
        assert_eq!(reason(&path(&real.join("none")), &[]), "WritablePathMissing");
        for open in [0o777, 0o775] {
            fs::set_permissions(&real, fs::Permissions::from_mode(open)).unwrap();
            assert_eq!(reason(&path(&data), &[]), "UnsafePath", "{open:o}");
        }
        fs::set_permissions(&real, fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(writable(&path(&data), &[]).unwrap(), data);
        chown(&data, Some(65534), None).unwrap();
        assert_eq!(reason(&path(&data), &[]), "UnsafePath", "its owner could rename it");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(writable(&path(&data), &[]).unwrap(), data);
    }

    #[test]
    fn neither_the_agents_own_files_nor_what_is_above_or_below_them_is_such_a_place() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        let [state, link] = ["state", "link"].map(|name| real.join(name));
        fs::create_dir_all(state.join("deep")).unwrap();
        symlink(&state, &link).unwrap();
        let own = [state.clone()];
        for place in [&state, &link, &state.join("deep"), &real] {
            assert_eq!(reason(&path(place), &own), "PolicyDenied", "{}", place.display());
        }
    }
}
