//! What was seen last at each declared path.
//!
//! It saves hashing what did not change, and tells an event that we caused, or have seen the
//! outcome of already, from one that is news.

use std::{
    collections::BTreeMap,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use agent_model::{Digest, TargetPath};

use super::stamp::Stamp;

/// How long before it was hashed a file must have been changed last for its stamp to vouch for
/// the digest. A change within the resolution of the file system's times leaves the stamp as it
/// was; the coarsest of those in use are 2 seconds (FAT) and 1 second (ext3).
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// What was seen at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sighting {
    /// The entry; `None` for nothing.
    pub(super) stamp: Option<Stamp>,
    /// Of a regular file's content, where it was hashed.
    pub(super) digest: Option<Digest>,
    /// Whether an equal stamp proves the digest.
    settled: bool,
}

impl Sighting {
    /// `at` is when the look began: before the content was read.
    pub(super) fn new(stamp: Option<Stamp>, digest: Option<Digest>, at: SystemTime) -> Self {
        let settled = stamp.is_none_or(|stamp| stamp.changed.is_older_than(SETTLED_AFTER, at));
        Self { stamp, digest, settled }
    }

    /// The digest of the entry that now has this stamp, if it can be told without reading.
    pub(super) fn digest_for(&self, stamp: &Stamp) -> Option<Digest> {
        self.digest.filter(|_| self.settled && self.stamp.as_ref() == Some(stamp))
    }

    /// Whether an equal stamp is proof that nothing changed.
    pub(super) fn is_proof(&self) -> bool {
        self.settled || !self.stamp.is_some_and(|stamp| stamp.is_regular())
    }
}

/// The declared paths, with what was seen there.
#[derive(Debug)]
pub(super) struct Sightings {
    entries: Mutex<BTreeMap<TargetPath, Entry>>,
    /// Told when an entry is no longer being altered.
    idle: Condvar,
    hashed: AtomicU64,
    /// The time of day, which file systems stamp with.
    pub(super) clock: fn() -> SystemTime,
}

#[derive(Debug, Default)]
struct Entry {
    sighting: Option<Sighting>,
    /// Of the last pass that looked for it.
    pass: u64,
    /// Whether one of our steps is altering the path.
    altering: bool,
}

impl Sightings {
    pub(super) fn new(clock: fn() -> SystemTime) -> Self {
        Self { entries: Mutex::default(), idle: Condvar::new(), hashed: AtomicU64::new(0), clock }
    }

    /// Declares `paths` in this pass, before anything is looked at, and tells what was seen at each last.
    /// They come sorted, so that one walk over the entries finds them all.
    pub(super) fn declare<'p>(
        &self,
        paths: impl Iterator<Item = &'p TargetPath>,
        pass: u64,
    ) -> Vec<Option<Sighting>> {
        let mut entries = self.lock();
        let mut known = entries.iter_mut().peekable();
        let mut new = Vec::new();
        let mut seen = Vec::with_capacity(paths.size_hint().1.unwrap_or(0));
        for path in paths {
            while known.next_if(|(before, _)| *before < path).is_some() {}
            seen.push(match known.next_if(|(same, _)| *same == path) {
                Some((_, entry)) => {
                    entry.pass = pass;
                    entry.sighting
                }
                None => {
                    new.push((path.clone(), Entry { pass, ..Entry::default() }));
                    None
                }
            });
        }
        entries.extend(new);
        seen
    }

    /// Remembers what was seen, if the path is declared. A look that saw the same without reading
    /// it does not take the digest away.
    pub(super) fn saw(&self, path: &TargetPath, sighting: Sighting) {
        if let Some(entry) = self.lock().get_mut(path) {
            let known = entry.sighting.is_some_and(|last| last.stamp == sighting.stamp);
            if !known || sighting.digest.is_some() {
                entry.sighting = Some(sighting);
            }
        }
    }

    /// Forgets the paths that this pass did not declare.
    pub(super) fn forget_before(&self, pass: u64) {
        self.lock().retain(|_, entry| entry.pass >= pass);
    }

    /// Holds back judgement on events at `path` until the guard is gone.
    pub(super) fn altering<'a>(&'a self, path: &'a TargetPath) -> Altering<'a> {
        if let Some(entry) = self.lock().get_mut(path) {
            entry.altering = true;
        }
        Altering { sightings: self, path }
    }

    /// What was seen last at a declared path, once no step of ours is altering it; the outer
    /// `None` for a path that is not declared, the inner one for a path not looked at yet.
    pub(super) fn when_idle(&self, path: &TargetPath) -> Option<Option<Sighting>> {
        let entries = self
            .idle
            .wait_while(self.lock(), |entries| entries.get(path).is_some_and(|entry| entry.altering))
            .unwrap_or_else(PoisonError::into_inner);
        entries.get(path).map(|entry| entry.sighting)
    }

    /// The declared paths at `top` or below; all of them for `None`, the root.
    pub(super) fn declared_at(&self, top: Option<&TargetPath>) -> Vec<TargetPath> {
        let entries = self.lock();
        match top {
            None => entries.keys().cloned().collect(),
            Some(top) => entries
                .range(top..)
                .map(|(path, _)| path)
                .take_while(|path| path.as_str().starts_with(top.as_str()))
                .filter(|path| *path == top || path.is_below(top))
                .cloned()
                .collect(),
        }
    }

    /// Counts a file that had to be hashed.
    pub(super) fn count_hashed(&self) {
        self.hashed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many files were hashed so far.
    pub(super) fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TargetPath, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path that a step of ours is altering.
pub(super) struct Altering<'a> {
    sightings: &'a Sightings,
    path: &'a TargetPath,
}

impl Drop for Altering<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.sightings.lock().get_mut(self.path) {
            entry.altering = false;
        }
        self.sightings.idle.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::stamp::{Inode, Time};

    fn stamp(changed: i64) -> Stamp {
        let time = Time { seconds: changed, nanoseconds: 0 };
        Stamp {
            inode: Inode { dev: 1, ino: 1 },
            raw_mode: 0o100644,
            links: 1,
            uid: 0,
            gid: 0,
            size: 1,
            modified: time,
            changed: time,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_digest_is_trusted_only_when_the_file_had_rested_before_it_was_read() {
        let digest = Digest::of_bytes(b"x");
        for (changed, read, trusted) in
            [(100, 102, true), (100, 101, false), (100, 100, false), (100, 50, false)]
        {
            let sighting = Sighting::new(Some(stamp(changed)), Some(digest), at(read));
            assert_eq!(sighting.digest_for(&stamp(changed)), trusted.then_some(digest), "read at {read}");
            assert_eq!(sighting.digest_for(&stamp(changed + 1)), None);
        }
    }

    #[test]
    fn a_look_that_read_nothing_takes_no_digest_away_unless_the_file_changed() {
        let sightings = Sightings::new(SystemTime::now);
        let path = "/a".parse().unwrap();
        sightings.declare([&path].into_iter(), 1);
        let digest = Some(Digest::of_bytes(b"x"));
        let known = || sightings.when_idle(&path).flatten().unwrap().digest;
        sightings.saw(&path, Sighting::new(Some(stamp(100)), digest, at(100)));
        sightings.saw(&path, Sighting::new(Some(stamp(100)), None, at(200)));
        assert_eq!(known(), digest);
        sightings.saw(&path, Sighting::new(Some(stamp(101)), None, at(200)));
        assert_eq!(known(), None);
    }

    #[test]
    fn each_path_gets_what_was_seen_there_and_those_not_declared_again_are_forgotten() {
        let sightings = Sightings::new(SystemTime::now);
        let [a, b, c, d] = ["/a", "/b", "/c", "/d"].map(|path| path.parse::<TargetPath>().unwrap());
        let changed = |seen: Vec<Option<Sighting>>| {
            seen.iter().map(|it| Some((*it)?.stamp?.changed.seconds)).collect::<Vec<_>>()
        };
        assert_eq!(changed(sightings.declare([&a, &c].into_iter(), 1)), [None, None]);
        for (path, at_second) in [(&a, 1), (&c, 3)] {
            sightings.saw(path, Sighting::new(Some(stamp(at_second)), None, at(100)));
        }
        let seen = sightings.declare([&b, &c, &d].into_iter(), 2);
        assert_eq!(changed(seen), [None, Some(3), None]);
        sightings.forget_before(2);
        assert_eq!(sightings.declared_at(None), [b, c, d]);
    }

    #[test]
    fn paths_at_or_below_a_folder_are_found_and_its_namesakes_are_not() {
        let sightings = Sightings::new(SystemTime::now);
        let paths = ["/a", "/a-b/c", "/a/b", "/a/b/c", "/b"].map(|path| path.parse().unwrap());
        sightings.declare(paths.iter(), 1);
        let found = |top: Option<&str>| {
            let found = sightings.declared_at(top.map(|top| top.parse().unwrap()).as_ref());
            found.iter().map(TargetPath::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found(Some("/a")), ["/a", "/a/b", "/a/b/c"]);
        assert_eq!(found(Some("/a/b/c")), ["/a/b/c"]);
        assert_eq!(found(Some("/c")), [""; 0]);
        assert_eq!(found(None).len(), 5);
    }
}
