//! Changes held back by hand, for as long as a clock tells that never jumps.

use tokio::time::Instant;

use super::Device;
use crate::pause::Pause;

/// A pause that this process knows of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heeded {
    pub(super) pause: Pause,
    /// When it ends by itself. A wall clock that is set while somebody works on the device neither ends it nor
    /// makes it last for years.
    pub(super) ends: Option<Instant>,
}

impl Heeded {
    pub(super) fn lasts(&self, now: Instant) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }
}

impl Device {
    /// Holds changes back from the next pass on, or no longer. From here on the clock that never jumps tells
    /// how long.
    pub fn set_pause(&mut self, pause: Option<Pause>) {
        if pause == self.pause.map(|heeded| heeded.pause) {
            return;
        }
        let now = self.clock.now();
        let ends = |pause: Pause| pause.remaining(now.wall).map(|remaining| now.monotonic + remaining);
        self.pause = pause.map(|pause| Heeded { pause, ends: ends(pause) });
        match (pause, self.pause_in_force()) {
            (_, Some(pause)) => tracing::warn!("paused: changes are held back {}", pause.end_in_words()),
            (None, None) => tracing::info!("resumed"),
            (Some(_), None) => {}
        }
    }

    /// The pause whose time is up: it is over for good, whatever the clock says later. Told once.
    pub fn pause_that_is_over(&mut self) -> Option<Pause> {
        let now = self.clock.now().monotonic;
        self.pause.take_if(|heeded| !heeded.lasts(now)).map(|heeded| heeded.pause)
    }

    /// The pause, while it lasts.
    pub fn pause_in_force(&self) -> Option<Pause> {
        let now = self.clock.now().monotonic;
        self.pause.filter(|heeded| heeded.lasts(now)).map(|heeded| heeded.pause)
    }
}
