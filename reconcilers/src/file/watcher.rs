//! Tells which declared paths something happened to, by inotify.
//!
//! There is one inotify instance for all of them: the usual limit is 128 for each user. The folder
//! of a file is watched, never the file itself, because a file that is replaced is another inode.
//! So is every folder above it, for the name that leads on, and every folder that a link on the
//! way leads through.

use std::{
    collections::HashMap,
    io,
    os::unix::ffi::OsStrExt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use agent_model::TargetPath;
use inotify::{EventMask, EventOwned, Inotify, WatchDescriptor, WatchMask, Watches};
use rustix::io::Errno;

use super::walk::Folder;

/// How a folder is part of a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach<'a> {
    /// The path as written down to this folder; or, with `via`, to the link that leads through it.
    walked: &'a str,
    /// The one name that matters, in a folder that a link leads through.
    via: Option<&'a [u8]>,
    /// Whether files in the folder itself are meant, and not only folders on the way.
    into: bool,
}

impl<'a> Reach<'a> {
    /// The folder holds declared files.
    pub(super) fn into(walked: &'a str) -> Self {
        Self { walked, via: None, into: true }
    }

    /// The folder is on the way to declared files.
    pub(super) fn through(walked: &'a str) -> Self {
        Self { walked, via: None, into: false }
    }

    /// The link at `walked` leads through this folder, on to `name`.
    pub(super) fn via(name: &'a [u8], walked: &'a str) -> Self {
        Self { walked, via: Some(name), into: false }
    }

    pub(super) fn is_into(&self) -> bool {
        self.into
    }

    /// Masks are added up, so a folder on the way to one file may hold another.
    fn mask(self) -> WatchMask {
        let names = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR
            | WatchMask::EXCL_UNLINK
            | WatchMask::MASK_ADD;
        if self.into { names | WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::ATTRIB } else { names }
    }
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touched {
    /// What is at this path or below may have changed.
    Path(TargetPath),
    /// What is below this path (`None`: the root) is no longer watched, or events about it were
    /// lost: only a new pass can tell.
    Unseen(Option<TargetPath>),
}

/// The inotify instance, and what its watches stand for.
#[derive(Debug)]
pub(super) struct Watcher {
    /// `None` where the system has none to give.
    watches: Option<Watches>,
    /// Until the stream of events takes it.
    instance: Mutex<Option<Inotify>>,
    watched: Mutex<HashMap<i32, Watched>>,
    pass: AtomicU64,
    /// Whether it was said already that something cannot be watched.
    warned: AtomicBool,
}

/// One watched folder.
#[derive(Debug)]
struct Watched {
    descriptor: WatchDescriptor,
    meanings: Vec<Meaning>,
}

/// What the names in a watched folder mean. There are several when links lead to it.
#[derive(Debug)]
struct Meaning {
    walked: String,
    via: Option<Vec<u8>>,
    /// Of the last pass that walked here.
    pass: u64,
}

impl Watcher {
    /// Watches by `instance`; goes without where the system had none left.
    pub(super) fn new(instance: io::Result<Inotify>) -> Self {
        let (watches, instance) = match instance {
            Ok(instance) => (Some(instance.watches()), Some(instance)),
            Err(error) => {
                tracing::warn!(
                    %error,
                    "files cannot be watched, so drift is found by the drift timer only; raise the sysctl \
                     fs.inotify.max_user_instances"
                );
                (None, None)
            }
        };
        Self {
            watches,
            instance: Mutex::new(instance),
            watched: Mutex::default(),
            pass: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        }
    }

    /// The instance to read events from; only once.
    pub(super) fn take_instance(&self) -> Option<Inotify> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Begins a pass and gives its number.
    pub(super) fn begin_pass(&self) -> u64 {
        self.pass.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Watches a folder. A folder that is watched already keeps its watch, and one that lost it
    /// gets a new one.
    pub(super) fn watch(&self, folder: &Folder, reach: Reach<'_>) {
        let Some(mut watches) = self.watches.clone() else { return };
        // Before the watch is there, so that no event on it is judged without its meaning.
        let mut watched = self.lock();
        let descriptor = match watches.add(folder.proc_path(), reach.mask()) {
            Ok(descriptor) => descriptor,
            Err(error) => return self.warn(reach.walked, &error),
        };
        let pass = self.pass.load(Ordering::Relaxed);
        let watched = watched
            .entry(descriptor.get_watch_descriptor_id())
            .or_insert_with(|| Watched { descriptor, meanings: Vec::new() });
        let known = watched
            .meanings
            .iter_mut()
            .find(|known| known.walked == reach.walked && known.via.as_deref() == reach.via);
        match known {
            Some(known) => known.pass = pass,
            None => watched.meanings.push(Meaning {
                walked: reach.walked.to_owned(),
                via: reach.via.map(<[u8]>::to_vec),
                pass,
            }),
        }
    }

    /// Removes the watches that this pass had no use for.
    pub(super) fn forget_before(&self, pass: u64) {
        let Some(mut watches) = self.watches.clone() else { return };
        self.lock().retain(|_, watched| {
            watched.meanings.retain(|meaning| meaning.pass >= pass);
            if watched.meanings.is_empty() {
                // It may be gone already, with its folder.
                let _ = watches.remove(watched.descriptor.clone());
            }
            !watched.meanings.is_empty()
        });
    }

    /// What an event says about declared paths.
    pub(super) fn touched(&self, event: &EventOwned) -> Vec<Touched> {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            tracing::warn!(
                "events about files were lost, so all files are looked at; raise the sysctl \
                 fs.inotify.max_queued_events if this repeats"
            );
            return vec![Touched::Unseen(None)];
        }
        let id = event.wd.get_watch_descriptor_id();
        let mut watched = self.lock();
        if event.mask.intersects(EventMask::IGNORED | EventMask::MOVE_SELF) {
            let Some(lost) = watched.remove(&id) else { return Vec::new() };
            if let (false, Some(mut watches)) =
                (event.mask.contains(EventMask::IGNORED), self.watches.clone())
            {
                // It follows a folder that is somewhere else now.
                let _ = watches.remove(lost.descriptor);
            }
            return lost
                .meanings
                .iter()
                .map(|meaning| Touched::Unseen(meaning.walked.parse().ok()))
                .collect();
        }
        let (Some(watched), Some(name)) = (watched.get(&id), &event.name) else { return Vec::new() };
        let name = name.as_bytes();
        // A name that cannot be part of a declared path is of nobody's interest.
        watched.meanings.iter().filter_map(|meaning| meaning.path_of(name)).map(Touched::Path).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn warn(&self, walked: &str, error: &io::Error) {
        if self.warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let advice = match Errno::from_io_error(error) {
            Some(Errno::NOSPC) => "raise the sysctl fs.inotify.max_user_watches",
            _ => "the agent needs the right to read the folder, and /proc mounted",
        };
        tracing::warn!(
            %error, folder = %walked,
            "a folder cannot be watched, so drift there is found by the drift timer only; {advice}"
        );
    }
}

impl Meaning {
    fn path_of(&self, name: &[u8]) -> Option<TargetPath> {
        match &self.via {
            Some(via) => self.walked.parse().ok().filter(|_| via == name),
            None => format!("{}/{}", self.walked, std::str::from_utf8(name).ok()?).parse().ok(),
        }
    }
}

#[cfg(test)]
impl Watcher {
    /// What the kernel says when its queue was full, about a descriptor of ours for want of one.
    pub(super) fn overflow(&self) -> EventOwned {
        let wd = self.lock().values().next().map(|watched| watched.descriptor.clone());
        EventOwned { wd: wd.expect("a watch"), mask: EventMask::Q_OVERFLOW, cookie: 0, name: None }
    }
}
