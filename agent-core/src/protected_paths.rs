//! The one rule that no document can change: nothing may claim the agent's own files.
//!
//! Whoever could replace the agent's binary, configuration or state could switch every other
//! rule off. A reconciler that writes enforces the same again at the moment of writing; asking here first
//! is what makes such a document refused as a whole, with a name ([`policy`](crate::policy)).

use std::path::{Path, PathBuf};

use agent_model::TargetPath;

/// The agent's own files and folders, and the root that documents' paths are put under.
#[derive(Debug, Clone)]
pub struct ProtectedPaths {
    root: PathBuf,
    protected: Vec<PathBuf>,
}

impl ProtectedPaths {
    /// Protects `protected` and all below it, for documents whose paths lie under `root`.
    pub fn new(root: PathBuf, protected: Vec<PathBuf>) -> Self {
        let protected = protected.iter().map(|path| resolved(path)).collect();
        Self { root: resolved(&root), protected }
    }

    /// The protected paths with their links resolved, for those who write.
    pub fn paths(&self) -> &[PathBuf] {
        &self.protected
    }

    /// What of the agent's own a file at that path of a document would be, replace or lie in.
    pub fn own(&self, path: &TargetPath) -> Option<&Path> {
        self.own_at(&path.under(&self.root))
    }

    /// The same of a path that lies on the device itself, and not under the root that files are put under.
    pub fn own_on_device(&self, path: &TargetPath) -> Option<&Path> {
        self.own_at(Path::new(path.as_str()))
    }

    fn own_at(&self, path: &Path) -> Option<&Path> {
        let target = resolved(path);
        let own = self.protected.iter().find(|own| target.starts_with(own) || own.starts_with(&target))?;
        Some(own)
    }
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
    }
}
