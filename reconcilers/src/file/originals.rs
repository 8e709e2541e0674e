//! The folder of originals: what was there before us, named after its digest.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use agent_model::{Digest, Failure, TargetPath};
use crash_point::crash_point;

use super::{content, failures, record::Fingerprint};

/// The largest original that is kept, in bytes: 64 MiB.
pub(super) const MAX_ORIGINAL: u64 = 64 << 20;

/// The one name under which an original is written before it has its own.
const UNFINISHED: &str = "unfinished";

/// Keeps originals, each once however many files had it.
#[derive(Debug)]
pub(super) struct Originals {
    folder: PathBuf,
    /// Held while one is being written, because of the one name.
    writing: Mutex<()>,
}

impl Originals {
    /// Keeps originals in `folder`, rid of what a crash left there.
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        // What cannot be removed is overwritten in its time.
        let _ = std::fs::remove_file(folder.join(UNFINISHED));
        Self { folder, writing: Mutex::new(()) }
    }

    /// Whether an original of this name and size is there; its content is checked when it is
    /// given back.
    pub(super) fn holds(&self, original: Fingerprint) -> bool {
        self.path_of(original.digest)
            .symlink_metadata()
            .is_ok_and(|found| found.is_file() && found.len() == original.size)
    }

    /// Keeps `source`, the content of `path`, durably, if it is what was expected.
    pub(super) fn keep(
        &self,
        path: &TargetPath,
        source: &mut File,
        expected: Fingerprint,
    ) -> Result<(), Failure> {
        let cannot = |error| failures::io("keep the original of", path, error);
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let unfinished = self.folder.join(UNFINISHED);
        let mut copy = self.create(&unfinished).map_err(cannot)?;
        crash_point();
        let copied = content::copy(source, &mut copy, expected.size);
        if !matches!(copied, Ok(copied) if copied == expected) {
            let _ = std::fs::remove_file(&unfinished);
            copied.map_err(cannot)?;
            return Err(failures::changed_meanwhile(path));
        }
        copy.sync_all().map_err(cannot)?;
        crash_point();
        std::fs::rename(&unfinished, self.path_of(expected.digest)).map_err(cannot)?;
        crash_point();
        self.sync().map_err(cannot)
    }

    /// Copies an original into `to`, the file that is to take the place of `path`.
    pub(super) fn give_back(
        &self,
        path: &TargetPath,
        original: Fingerprint,
        to: &mut impl Write,
    ) -> Result<(), Failure> {
        let lost = || failures::original_lost(path, original.digest);
        let mut kept = File::open(self.path_of(original.digest)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => lost(),
            _ => failures::io("read the original of", path, error),
        })?;
        let copied = content::copy(&mut kept, to, original.size)
            .map_err(|error| failures::io("restore the original of", path, error))?;
        if copied == original { Ok(()) } else { Err(lost()) }
    }

    /// Deletes an original. One that cannot be deleted costs space and nothing else.
    pub(super) fn drop(&self, original: Digest) {
        let path = self.path_of(original);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "an original that nothing needs stays on disk");
            }
            _ => {}
        }
    }

    fn create(&self, path: &std::path::Path) -> io::Result<File> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn path_of(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn path() -> TargetPath {
        "/x".parse().unwrap()
    }

    fn fixture(content: &[u8]) -> (tempfile::TempDir, Originals, Fingerprint, File) {
        let dir = tempfile::tempdir().unwrap();
        let originals = Originals::in_folder(dir.path().join("originals"));
        std::fs::write(dir.path().join("source"), content).unwrap();
        let source = File::open(dir.path().join("source")).unwrap();
        let original = Fingerprint::plain(Digest::of_bytes(content), content.len() as u64);
        (dir, originals, original, source)
    }

    #[test]
    fn an_original_comes_back_as_it_was_and_only_the_agent_may_read_it() {
        let (dir, originals, original, mut source) = fixture(b"before");
        originals.keep(&path(), &mut source, original).unwrap();
        assert!(originals.holds(original));
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path().join("originals")), 0o700);
        assert_eq!(mode(originals.path_of(original.digest)), 0o600);

        let mut back = Vec::new();
        originals.give_back(&path(), original, &mut back).unwrap();
        assert_eq!(back, b"before");
    }

    #[test]
    fn a_file_that_changed_since_it_was_looked_at_is_not_kept_under_the_wrong_name() {
        let (dir, originals, original, mut source) = fixture(b"before");
        std::fs::write(dir.path().join("source"), b"after!").unwrap();
        let failure = originals.keep(&path(), &mut source, original).unwrap_err();
        assert_eq!(failure.reason, "ChangedMeanwhile");
        assert_eq!(std::fs::read_dir(dir.path().join("originals")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_crash_left_unfinished_is_removed_and_nothing_else() {
        let (_dir, originals, original, mut source) = fixture(b"before");
        originals.keep(&path(), &mut source, original).unwrap();
        let unfinished = originals.folder.join(UNFINISHED);
        std::fs::write(&unfinished, b"bef").unwrap();
        let originals = Originals::in_folder(originals.folder);
        assert!(!unfinished.exists());
        assert!(originals.holds(original));
    }

    #[test]
    fn a_missing_or_damaged_original_is_reported_as_lost() {
        let (_dir, originals, original, mut source) = fixture(b"before");
        let lost = |to: &mut Vec<u8>| originals.give_back(&path(), original, to).unwrap_err().reason;
        assert_eq!(lost(&mut Vec::new()), "OriginalLost");
        originals.keep(&path(), &mut source, original).unwrap();
        for damaged in [&b"befere"[..], b"befor", b"before and more"] {
            std::fs::write(originals.path_of(original.digest), damaged).unwrap();
            assert_eq!(lost(&mut Vec::new()), "OriginalLost");
        }
    }
}
