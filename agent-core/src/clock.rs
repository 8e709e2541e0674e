//! The time, handed in, so that loops can be tested without waiting.

use std::{fmt, sync::Arc};

use agent_model::Timestamp;
use tokio::time::Instant;

/// One moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For documents. May jump.
    pub wall: Timestamp,
    /// For waiting. Never jumps.
    pub monotonic: Instant,
}

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// A wall clock of the caller's own.
    pub fn from_fn(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(wall))
    }

    /// This moment.
    pub fn now(&self) -> Moment {
        Moment { wall: (self.0)(), monotonic: Instant::now() }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
