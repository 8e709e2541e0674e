//! What the system says of an entry without reading it.

use std::time::{Duration, SystemTime};

use agent_model::Mode;
use rustix::fs::{FileType, Stat};

use super::record::Attributes;

/// One inode among all mounted file systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Inode {
    pub(super) dev: u64,
    pub(super) ino: u64,
}

/// The state of an entry as `stat` shows it. Two equal stamps mean an unchanged entry, as far as
/// the resolution of its times goes: see [`Sighting`](super::sightings::Sighting).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) inode: Inode,
    pub(super) raw_mode: u32,
    pub(super) links: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// Time since the epoch of the last change to the content.
    pub(super) modified: Time,
    /// Time since the epoch of the last change at all.
    pub(super) changed: Time,
}

/// Seconds and nanoseconds since the epoch, as the file system keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

impl Time {
    /// Whether this moment lies at least `margin` before `now`.
    pub(super) fn is_older_than(self, margin: Duration, now: SystemTime) -> bool {
        let since_epoch = Duration::new(self.seconds.max(0).unsigned_abs(), self.nanoseconds);
        SystemTime::UNIX_EPOCH
            .checked_add(since_epoch)
            .and_then(|then| then.checked_add(margin))
            .is_some_and(|settled| settled <= now)
    }
}

impl Stamp {
    /// Widths of these fields differ between architectures; all of them fit.
    #[allow(clippy::unnecessary_cast)]
    pub(super) fn new(stat: &Stat) -> Self {
        let time = |seconds, nanoseconds| Time { seconds, nanoseconds };
        Self {
            inode: Inode { dev: stat.st_dev as u64, ino: stat.st_ino as u64 },
            raw_mode: stat.st_mode as u32,
            links: stat.st_nlink as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.raw_mode)
    }

    pub(super) fn is_regular(&self) -> bool {
        self.file_type() == FileType::RegularFile
    }

    pub(super) fn attributes(&self) -> Attributes {
        Attributes { mode: Mode::from_bits(self.raw_mode), uid: self.uid, gid: self.gid }
    }

    /// Whether both are the same entry with the same content; mode and owner may differ.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        self.inode == other.inode && self.size == other.size && self.modified == other.modified
    }
}
