//! A disk that is small and can be filled: a file system in memory, mounted for as long as a test needs it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tempfile::TempDir;

/// Clears away when its input ends, which it does with the test however that ends. What still uses the disk keeps it.
const JANITOR: &str = "read -r _ || :; umount --lazy \"$0\"; rmdir \"$0\"";

/// The disk. It goes with this value, and when the test is killed.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
    janitor: Child,
}

impl SmallDisk {
    /// An empty one of that size, in bytes.
    ///
    /// # Panics
    /// Where this user cannot mount anything.
    pub fn new(size: u64) -> Self {
        let folder = TempDir::with_prefix("harmony-disk-").unwrap().keep();
        let janitor = Command::new("setsid")
            .args(["sh", "-c", JANITOR])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("util-linux has a setsid");
        let disk = Self { folder, janitor };
        disk.mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]);
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// How many bytes are free.
    pub fn free(&self) -> u64 {
        let space = statvfs(&self.folder).unwrap();
        space.f_bavail * space.f_frsize
    }

    /// Fills it, or fills it more, so that no more than so many bytes are free.
    pub fn leave(&self, free: u64) {
        let ballast = File::options().append(true).create(true).open(self.ballast()).unwrap();
        if let Some(excess @ 1..) = self.free().checked_sub(free) {
            let length = ballast.metadata().unwrap().len();
            fallocate(&ballast, FallocateFlags::empty(), length, excess).unwrap();
        }
        assert!(self.free() <= free, "somebody has removed something meanwhile");
    }

    /// Removes what it was filled with.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    /// Makes it that large.
    pub fn resize(&self, size: u64) {
        self.mount(&["-o", &format!("remount,size={size}")]);
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    fn mount(&self, options: &[&str]) {
        let done = Command::new("mount").args(options).arg(&self.folder).output().unwrap();
        assert!(done.status.success(), "a disk in memory takes root: {done:?}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        // It fails only when somebody else has ended it, and then has the rest to answer for.
        let _ = self.janitor.wait();
    }
}
