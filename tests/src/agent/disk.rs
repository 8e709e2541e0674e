//! What lies on the device's disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::Agent;
use crate::eventually::eventually;

impl Agent {
    /// Where a path of a document lies in truth: below the agent's `--root`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// The agent's `--root`.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The agent's state folder, as a running agent sees it.
    pub fn state_dir(&self) -> PathBuf {
        match (&self.process, self.small_disk) {
            // The agent's own mounts are to be seen through its process only.
            (Some(process), Some(_)) => {
                let inside = self.state_dir.strip_prefix("/").unwrap();
                Path::new("/proc").join(process.id().to_string()).join("root").join(inside)
            }
            _ => self.state_dir.clone(),
        }
    }

    /// What a file of the device holds.
    pub fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes a file of the device by hand, making its folders.
    pub fn write_by_hand(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Waits until a file of the device has this content.
    pub async fn eventually_holds(&self, path: &str, content: &str) {
        eventually(&format!("{path} holds {content:?}"), async || match fs::read(self.path(path)) {
            Ok(found) if found == content.as_bytes() => Ok(()),
            Ok(found) => Err(format!("it holds {:?}", String::from_utf8_lossy(&found))),
            Err(error) => Err(error.to_string()),
        })
        .await;
    }

    /// The records of its audit log, the oldest first, as long as they fit into one file.
    ///
    /// # Panics
    /// When one of its lines is none.
    pub fn audit(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.state_dir().join("audit.jsonl")).expect("there is a log");
        // What comes after the last line is being written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("each line is a record")).collect()
    }

    /// Runs a shell command in the agent's own view of the disk.
    pub fn run_inside(&self, script: &str) {
        let pid = self.pid().to_string();
        let status = std::process::Command::new("nsenter")
            .args([
                "--target",
                &pid,
                "--user",
                "--mount",
                "--preserve-credentials",
                "--",
                "sh",
                "-euc",
                script,
            ])
            .status()
            .expect("nsenter runs");
        assert!(status.success(), "{script}: {status}");
    }
}
