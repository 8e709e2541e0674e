//! An agent as it was before a file was added to this repository, built from the history.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// The repository.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Where a build has room: beside that of the tests.
const ROOM: &str = env!("CARGO_TARGET_TMPDIR");
/// What a device needs: both lie in one folder.
const PROGRAMS: [&str; 2] = ["harmony-agent", "process-shim"];

/// Programs of an older version, in a folder of their own that goes with this value.
#[derive(Debug)]
pub(super) struct OlderAgent {
    folder: TempDir,
}

impl OlderAgent {
    /// Builds the programs of the commit before the one that added that file (by its path in the repository).
    ///
    /// # Panics
    /// When this is no git checkout with its history, or the programs cannot be built.
    pub(super) fn from_before(file: &str) -> Self {
        let commit = commit_before(file);
        println!("building the agent of {commit}, the commit before {file}");
        // From here on, whatever happens, the worktree goes when this is dropped.
        let older = Self { folder: TempDir::with_prefix_in("older-agent-", ROOM).unwrap() };
        let sources = older.sources();
        git(&["worktree", "add", "--quiet", "--detach", text(&sources), &commit]).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked"]).current_dir(&sources).env("CARGO_TARGET_DIR", older.target());
        for program in PROGRAMS {
            cargo.args(["--package", program, "--bin", program]);
        }
        // Nobody debugs it.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
        let status = cargo.status().expect("cargo runs");
        assert!(status.success(), "the agent of {commit} cannot be built: {status}");
        older
    }

    /// The agent, which has its own shim beside it.
    pub(super) fn program(&self) -> PathBuf {
        self.target().join("debug").join(PROGRAMS[0])
    }

    fn sources(&self) -> PathBuf {
        self.folder.path().join("sources")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }
}

impl Drop for OlderAgent {
    fn drop(&mut self) {
        // Where this fails, `git worktree prune` forgets it once its folder is gone.
        let _ = git(&["worktree", "remove", "--force", text(&self.sources())]);
    }
}

fn commit_before(file: &str) -> String {
    // The oldest, should it have been removed and added again.
    let added = match git(&["log", "--diff-filter=A", "--format=%H", "--", file]) {
        Ok(commits) => commits.lines().last().map(str::to_owned),
        Err(why) => no_history(&why),
    };
    let Some(added) = added else { no_history(&format!("no commit is known that added {file}")) };
    match git(&["rev-parse", "--verify", &format!("{added}^")]) {
        Ok(commit) => commit.trim().to_owned(),
        Err(_) => no_history(&format!("the commit before {added}, which added {file}, is not there")),
    }
}

fn no_history(why: &str) -> ! {
    panic!("{why}: building an older agent takes a git checkout of this repository with its whole history")
}

/// What git prints, run in the repository, or why it failed.
fn git(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git").current_dir(REPOSITORY).args(arguments).output();
    let output = output.map_err(|error| format!("git cannot be run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
