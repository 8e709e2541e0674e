//! Where the source of a mount really is, and whether it may be in a container.

use std::{collections::BTreeMap, fs, os::unix::fs::FileTypeExt, path::PathBuf};

use agent_model::{ContainerSpec, Failure, MountSource, TargetPath};

use super::failures;
use crate::mounted_path;

/// Characters with a meaning of their own in the options that podman makes of a mount.
const SPECIAL: [char; 4] = [',', '"', '\n', '\r'];

/// Where the sources of all binds of a declaration are, by how they are written. Blocking.
pub(super) fn resolve_all(
    spec: &ContainerSpec,
    protected: &[PathBuf],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut sources = BTreeMap::new();
    for mount in &spec.mounts {
        if mount.target.as_str().contains(SPECIAL) {
            return Err(special(mount.target.as_str()));
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
    failures::mount_unsafe(&path, &"runtimes take a comma, a quotation mark or a new line in it for options")
}

/// Where a source is.
fn resolve(path: &TargetPath, protected: &[PathBuf]) -> Result<String, Failure> {
    let found = mounted_path::find(path, protected).map_err(|why| failures::unmountable(path, why))?;
    let text =
        found.to_str().ok_or_else(|| failures::mount_unsafe(path, &"it leads to a name that is no text"))?;
    if text.contains(SPECIAL) { Err(special(text)) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runtimes_take_for_options_is_refused() {
        let ground = tempfile::tempdir().unwrap();
        let folder = ground.path().canonicalize().unwrap().join("data,ro=false");
        fs::create_dir(&folder).unwrap();
        let refused = resolve(&folder.to_str().unwrap().parse().unwrap(), &[]).unwrap_err();
        assert_eq!(refused.reason, "UnsafePath");
    }

    #[test]
    fn a_source_is_told_where_it_is() {
        let ground = tempfile::tempdir().unwrap();
        let folder = ground.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(".", folder.join("link")).unwrap();
        let written = folder.join("link").to_str().unwrap().parse().unwrap();
        assert_eq!(resolve(&written, &[]).unwrap(), folder.to_str().unwrap());
    }
}
