//! Waiting for a log to grow.

use std::{
    ffi::OsStr,
    io::{self, Write},
    path::Path,
};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often the folder is looked at where it cannot be watched.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Room for the events of one read.
const EVENT_BUFFER: usize = 4096;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// The log, perhaps.
    Log,
    /// There is no such folder any more.
    FolderGone,
    /// Whoever read what we print has gone.
    NobodyListens,
}

/// The changes of a process's folder.
pub(super) struct Changes<'a> {
    folder: &'a Path,
    /// `None` where the system has no watch left.
    watched: Option<Watched>,
}

struct Watched {
    inotify: Inotify,
    /// The watch on the folder's own folder.
    parent: WatchDescriptor,
}

impl<'a> Changes<'a> {
    /// Those that come from now on.
    pub(super) fn of(folder: &'a Path) -> Self {
        let watched = watch(folder).inspect_err(|error| {
            let folder = folder.display();
            let _ = writeln!(
                io::stderr(),
                "harmony-agent: {folder} cannot be watched ({error}) and is looked at every second"
            );
        });
        Self { folder, watched: watched.ok() }
    }

    /// Waits for the next one.
    pub(super) fn wait(&mut self) -> Changed {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        // Asked for nothing, they tell only that they are closed.
        let mut polled =
            vec![PollFd::new(&stdout, PollFlags::empty()), PollFd::new(&stderr, PollFlags::empty())];
        polled.extend(self.watched.as_ref().map(|watched| PollFd::new(&watched.inotify, PollFlags::IN)));
        let timeout = self.watched.is_none().then_some(&LOOK_AGAIN);
        // Whatever came of it, the log is looked at.
        let _ = poll(&mut polled, timeout);
        if polled[..2].iter().any(|stream| !stream.revents().is_empty()) {
            return Changed::NobodyListens;
        }
        let gone = match &mut self.watched {
            Some(watched) => watched.has_gone(self.folder.file_name()),
            None => !self.folder.exists(),
        };
        if gone { Changed::FolderGone } else { Changed::Log }
    }
}

fn watch(folder: &Path) -> io::Result<Watched> {
    let inotify = Inotify::init()?;
    inotify.watches().add(folder, WatchMask::MODIFY | WatchMask::CREATE | WatchMask::MOVE)?;
    // A folder does not tell of its own end before the last file in it is closed, one of which we read.
    let parent = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    let parent = inotify.watches().add(parent, WatchMask::DELETE | WatchMask::MOVED_FROM)?;
    Ok(Watched { inotify, parent })
}

impl Watched {
    /// Takes all events, and says whether one of them is the end of the folder of that name.
    fn has_gone(&mut self, name: Option<&OsStr>) -> bool {
        let unwatched = EventMask::UNMOUNT | EventMask::IGNORED;
        let mut buffer = [0; EVENT_BUFFER];
        let mut gone = false;
        while let Ok(events) = self.inotify.read_events(&mut buffer) {
            for event in events {
                gone |= event.mask.intersects(unwatched) || (event.wd == self.parent && event.name == name);
            }
        }
        gone
    }
}
