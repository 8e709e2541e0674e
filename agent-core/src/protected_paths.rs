//! The one rule that no document can change: nothing may claim the agent's own files, or hand them to a container.
//!
//! Whoever could replace the agent's binary, configuration or state could switch every other
//! rule off. A reconciler that writes enforces the same again at the moment of writing; asking here first
//! is what makes such a document refused as a whole, with a name ([`policy`](crate::policy)).

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use agent_model::{TargetPath, UnitName};

/// The agent's own files and folders, and the root that documents' paths are put under.
#[derive(Debug, Clone)]
pub struct ProtectedPaths {
    root: PathBuf,
    protected: Vec<PathBuf>,
}

impl ProtectedPaths {
    /// Protects `protected` and all below it, for documents whose paths lie under `root`.
    pub fn new(root: PathBuf, protected: Vec<PathBuf>) -> Self {
        Self { root: resolved(&root), protected: resolved_together(&protected) }
    }

    /// The protected paths with their links resolved, for those who write.
    pub fn paths(&self) -> &[PathBuf] {
        &self.protected
    }

    /// What of the agent's own a file at that path of a document would be, replace or lie in.
    pub fn own(&self, path: &TargetPath) -> Option<&Path> {
        self.own_at(&path.under(&self.root))
    }

    /// What of the agent's own something at that path of the device is, lies in or holds, whatever root documents'
    /// files are put under.
    pub fn own_of_device(&self, path: &TargetPath) -> Option<&Path> {
        self.own_at(Path::new(path.as_str()))
    }

    /// What of the agent's own the unit's file or its drop-ins would be. systemd looks for them where it
    /// always does, whatever root the paths of documents have.
    pub fn own_unit(&self, unit: &UnitName) -> Option<&Path> {
        [unit.file(), unit.drop_ins()].into_iter().find_map(|path| self.own_at(path.as_str().as_ref()))
    }

    fn own_at(&self, path: &Path) -> Option<&Path> {
        let target = resolved(path);
        let own = self.protected.iter().find(|own| target.starts_with(own) || own.starts_with(&target))?;
        Some(own)
    }
}

/// Each path as [`resolved`] has it. Those of one folder, as most of the agent's own are, share the way there.
fn resolved_together(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = HashMap::new();
    let mut resolve = |path: &PathBuf| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return resolved(&path) };
        let folder = folders.entry(folder.to_owned()).or_insert_with(|| resolved(folder));
        let path = folder.join(name);
        if path.is_symlink() { resolved(&path) } else { path }
    };
    paths.iter().map(&mut resolve).collect()
}

/// The path with the links in it resolved, as far down as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let path = absolute.as_path();
    let mut existing = path;
    loop {
        if let Ok(real) = existing.canonicalize() {
            return match path.strip_prefix(existing) {
                Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
                _ => real,
            };
        }
        match existing.parent() {
            Some(parent) => existing = parent,
            None => return path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn own_files_cannot_be_claimed_by_any_path_that_leads_to_them() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("var/state");
        fs::create_dir_all(&state).unwrap();
        symlink(&state, root.path().join("link")).unwrap();
        let rule = ProtectedPaths::new(root.path().to_owned(), vec![state, "/etc/harmony-agent".into()]);
        let is_own = |path: &str| rule.own(&path.parse().unwrap()).is_some();
        for path in ["/var/state", "/var/state/ledger.json", "/var/state/new/x", "/link/ledger.json", "/var"]
        {
            assert!(is_own(path), "{path}");
        }
        for path in ["/var/state2", "/var/other", "/etc/harmony-agent/x"] {
            assert!(!is_own(path), "{path}");
        }
        let is_own = |path: &Path| rule.own_of_device(&path.to_str().unwrap().parse().unwrap()).is_some();
        for path in ["var", "var/state/x", "link"].map(|path| root.path().join(path)) {
            assert!(is_own(&path), "{}", path.display());
        }
        assert!(is_own(Path::new("/etc")) && !is_own(Path::new("/var/state")));
    }

    #[test]
    fn own_files_of_one_folder_are_resolved_each_as_by_itself() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("real/etc")).unwrap();
        symlink("real", at("link")).unwrap();
        symlink("/nowhere/file", at("real/dangling")).unwrap();
        symlink("../real", at("real/back")).unwrap();
        let paths = [
            "real",
            "real/etc",
            "real/new/x",
            "link/etc",
            "link/dangling",
            "link/back",
            "link/back/etc",
            "link/new",
        ];
        let paths: Vec<PathBuf> =
            paths.iter().map(|path| at(path)).chain(["/".into(), "x/..".into(), "x".into()]).collect();
        let each: Vec<_> = paths.iter().map(|path| resolved(path)).collect();
        assert_eq!(resolved_together(&paths), each);
    }
}
