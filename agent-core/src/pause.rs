//! Holding back changes while somebody works on the device.
//!
//! A pause is a file in the state folder, so that it survives a restart and can be begun and ended
//! while no agent runs. Documents are accepted meanwhile; nothing is applied or repaired.

use std::{fs, io, time::Duration};

use agent_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    durable_file::{Durability, Previous, replace},
    state_dir::StateLayout,
};

/// A pause of this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// When it was begun. Tells it from the ones before, so that a device can say which it heeds.
    pub begun: Option<Timestamp>,
    /// When it ends by itself; `None` when somebody has to end it.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// The pause of that state folder, if there is one, whether or not it has ended by itself.
    ///
    /// A file that cannot be read is a pause that somebody has to end: whoever began it may still be
    /// at work.
    pub fn read(layout: &StateLayout) -> Option<Self> {
        let bytes = match fs::read(layout.pause()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read,
        };
        let pause = bytes.and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from));
        Some(pause.unwrap_or_else(|error| {
            let path = layout.pause();
            tracing::warn!(path = %path.display(), %error, "the pause cannot be read, and lasts until it is ended");
            Self { begun: None, until: None }
        }))
    }

    /// Begins it, in the place of any other.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn begin(&self, layout: &StateLayout) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        replace(&layout.pause(), &bytes, Previous::Discarded, Durability::Synced)
    }

    /// Ends whatever pause there is. Says whether there was one.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn end(layout: &StateLayout) -> io::Result<bool> {
        match fs::remove_file(layout.pause()) {
            Ok(()) => fs::File::open(layout.path())?.sync_all().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Clears away this pause, whose time is up, unless another has begun since: a clock that is set
    /// back, or not at all after the next boot, would bring it back.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn clear(&self, layout: &StateLayout) -> io::Result<()> {
        if Self::read(layout) == Some(*self) {
            Self::end(layout)?;
        }
        Ok(())
    }

    /// Whether it lasts at that time.
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// How long it lasts from that time on; `None` when somebody has to end it. Never longer than it was to
    /// last in all, whatever has become of the clock since it was begun.
    pub fn remaining(&self, now: Timestamp) -> Option<Duration> {
        let until = self.until?;
        let remaining = until.since(now);
        Some(self.begun.map_or(remaining, |begun| remaining.min(until.since(begun))))
    }

    /// What ends it, for people.
    pub fn end_in_words(&self) -> String {
        match self.until {
            Some(until) => format!("until {until}, or until `harmony-agent resume`"),
            None => "until `harmony-agent resume`".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_begun_replaced_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let layout = StateLayout::of(folder.path());
        assert_eq!(Pause::read(&layout), None);
        let forever = Pause { begun: None, until: None };
        let limited = Pause { begun: None, until: Some(Timestamp::UNIX_EPOCH) };
        for pause in [forever, limited] {
            pause.begin(&layout).unwrap();
            assert_eq!(Pause::read(&layout), Some(pause));
        }
        assert!(Pause::end(&layout).unwrap());
        assert!(!Pause::end(&layout).unwrap());
        assert_eq!(Pause::read(&layout), None);
    }

    #[test]
    fn what_an_administrator_begins_belongs_to_the_folders_user() {
        use std::os::unix::fs::{MetadataExt, chown};

        let folder = tempfile::tempdir().unwrap();
        // Only an administrator may give a folder away, and only then is there anything to see.
        if chown(folder.path(), Some(4321), Some(4321)).is_ok() {
            let layout = StateLayout::of(folder.path());
            Pause { begun: None, until: None }.begin(&layout).unwrap();
            let file = fs::metadata(layout.pause()).unwrap();
            assert_eq!((file.uid(), file.gid()), (4321, 4321));
        }
    }

    #[test]
    fn a_pause_that_is_over_is_cleared_away_but_not_a_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let layout = StateLayout::of(folder.path());
        let over = Pause { begun: None, until: Some(Timestamp::UNIX_EPOCH) };
        let newer = Pause { begun: Some(Timestamp::UNIX_EPOCH), until: None };
        newer.begin(&layout).unwrap();
        over.clear(&layout).unwrap();
        assert_eq!(Pause::read(&layout), Some(newer));
        over.begin(&layout).unwrap();
        over.clear(&layout).unwrap();
        assert_eq!(Pause::read(&layout), None);
    }

    #[test]
    fn a_damaged_pause_lasts_until_somebody_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let layout = StateLayout::of(folder.path());
        fs::write(layout.pause(), "{").unwrap();
        assert_eq!(Pause::read(&layout), Some(Pause { begun: None, until: None }));
        assert!(Pause::end(&layout).unwrap());
    }

    #[test]
    fn a_pause_with_an_end_is_over_from_then_on() {
        let end = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(9));
        let pause = Pause { begun: None, until: Some(end) };
        assert!(pause.lasts(Timestamp::UNIX_EPOCH));
        assert!(!pause.lasts(end));
        assert!(Pause { begun: None, until: None }.lasts(end));
    }
}
