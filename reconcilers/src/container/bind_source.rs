//! Where the source of a mount really is, and whether it may be in a container.
//!
//! Policy judges the path as it is written (see `docs/policy.md`). What stands in the way there is judged here, as
//! for the paths of files: a link counts only where nobody but root and the agent's user could have placed it,
//! and nothing leads to the agent's own.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Component, Path, PathBuf},
};

use agent_model::{ContainerSpec, Failure, MountSource, TargetPath};

use super::failures;

/// Links followed for one source at most, as by the kernel (`MAXSYMLINKS`).
const MAX_LINKS: u32 = 40;
/// Characters with a meaning of their own in the options that podman makes of a mount.
const SPECIAL: [char; 4] = [',', '"', '\n', '\r'];

/// Where the sources of all binds of a declaration are, by how they are written. Blocking.
pub(super) fn resolve_all(
    spec: &ContainerSpec,
    protected: &[PathBuf],
) -> Result<std::collections::BTreeMap<String, String>, Failure> {
    let mut sources = std::collections::BTreeMap::new();
    for mount in &spec.mounts {
        if let Some(path) = [mount.target.as_str()].into_iter().find(|path| path.contains(SPECIAL)) {
            return Err(special(path));
        }
        if let MountSource::Bind(path) = &mount.source {
            sources.insert(path.as_str().to_owned(), resolve(path, protected)?);
        }
    }
    for device in &spec.devices {
        let found =
            fs::metadata(device.as_str()).map_err(|error| failures::device_missing(device, &error))?;
        let is_device = found.file_type().is_char_device() || found.file_type().is_block_device();
        if !is_device {
            return Err(failures::device_missing(device, &"it is no device"));
        }
    }
    Ok(sources)
}

fn special(path: &str) -> Failure {
    failures::mount_unsafe(&path, "runtimes take a comma, a quotation mark or a new line in it for options")
}

/// Where a source is.
fn resolve(path: &TargetPath, protected: &[PathBuf]) -> Result<String, Failure> {
    let resolved = follow(Path::new(path.as_str()), path)?;
    let own = protected.iter().find(|own| resolved.starts_with(own) || own.starts_with(&resolved));
    if let Some(own) = own {
        return Err(failures::mount_denied(path, &own.display()));
    }
    let text = resolved
        .to_str()
        .ok_or_else(|| failures::mount_unsafe(path, "it leads to a name that is no text"))?;
    if text.contains(SPECIAL) { Err(special(text)) } else { Ok(text.to_owned()) }
}

/// The path without links, each of which must be trusted.
fn follow(path: &Path, written: &TargetPath) -> Result<PathBuf, Failure> {
    let user = rustix::process::geteuid().as_raw();
    let mut links = 0;
    let mut at = PathBuf::from("/");
    let mut ahead: Vec<PathBuf> = parts(path);
    while let Some(part) = ahead.pop() {
        if part.as_os_str() == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let found = fs::symlink_metadata(&next).map_err(|error| failures::mount_missing(written, &error))?;
        if !found.is_symlink() {
            at = next;
            continue;
        }
        let holder = fs::symlink_metadata(&at).map_err(|error| failures::mount_missing(written, &error))?;
        let is_trusted = [0, user].contains(&found.uid())
            && [0, user].contains(&holder.uid())
            && holder.mode() & 0o022 == 0;
        if !is_trusted {
            let why = format!("{} is a link that somebody else placed, or could have", next.display());
            return Err(failures::mount_unsafe(written, &why));
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(failures::mount_unsafe(written, "the path has more than 40 links"));
        }
        let target = fs::read_link(&next).map_err(|error| failures::mount_missing(written, &error))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        ahead.extend(parts(&target));
    }
    Ok(at)
}

/// The parts of a path, the last first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let named = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.into()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Ground(tempfile::TempDir);

    impl Ground {
        fn new() -> Self {
            let ground = tempfile::tempdir().unwrap();
            fs::set_permissions(ground.path(), fs::Permissions::from_mode(0o755)).unwrap();
            for folder in ["data", "state", "open"] {
                fs::create_dir(ground.path().join(folder)).unwrap();
            }
            fs::set_permissions(ground.path().join("open"), fs::Permissions::from_mode(0o777)).unwrap();
            Self(ground)
        }

        fn resolve(&self, path: &str) -> Result<String, String> {
            let root = self.0.path().canonicalize().unwrap();
            let path: TargetPath = root.join(path).to_str().unwrap().parse().unwrap();
            let found = resolve(&path, &[root.join("state")]);
            found
                .map(|found| found.strip_prefix(root.to_str().unwrap()).unwrap().to_owned())
                .map_err(|failure| failure.reason.into_owned())
        }
    }

    #[test]
    fn a_source_is_where_trusted_links_lead() {
        let ground = Ground::new();
        symlink("data", ground.0.path().join("link")).unwrap();
        symlink(ground.0.path().join("link/../link"), ground.0.path().join("far")).unwrap();
        for path in ["data", "link", "far"] {
            assert_eq!(ground.resolve(path).as_deref(), Ok("/data"), "{path}");
        }
        assert_eq!(ground.resolve("nothing"), Err("MountMissing".to_owned()));
    }

    #[test]
    fn no_link_that_somebody_else_could_have_placed_is_followed() {
        let ground = Ground::new();
        symlink("../data", ground.0.path().join("open/link")).unwrap();
        assert_eq!(ground.resolve("open/link"), Err("UnsafePath".to_owned()));
        symlink("round", ground.0.path().join("round")).unwrap();
        assert_eq!(ground.resolve("round"), Err("UnsafePath".to_owned()));
    }

    #[test]
    fn nothing_leads_to_the_agents_own_or_holds_it() {
        let ground = Ground::new();
        symlink("state", ground.0.path().join("innocent")).unwrap();
        fs::write(ground.0.path().join("state/ledger"), "").unwrap();
        for path in ["state", "innocent", "state/ledger", "innocent/ledger"] {
            assert_eq!(ground.resolve(path), Err("PolicyDenied".to_owned()), "{path}");
        }
        let above: TargetPath = ground.0.path().canonicalize().unwrap().to_str().unwrap().parse().unwrap();
        let own = [ground.0.path().canonicalize().unwrap().join("state")];
        assert_eq!(resolve(&above, &own).unwrap_err().reason, "PolicyDenied");
    }

    #[test]
    fn what_runtimes_take_for_options_is_refused() {
        let ground = Ground::new();
        fs::create_dir(ground.0.path().join("data,ro=false")).unwrap();
        assert_eq!(ground.resolve("data,ro=false"), Err("UnsafePath".to_owned()));
    }
}
