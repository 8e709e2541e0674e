//! What all that runs has in common: how its health is found out, and how long it waits when it ends
//! again and again.

pub(crate) mod backoff;
pub(crate) mod health;
pub(crate) mod printed;
pub(crate) mod probing;
mod wakes;

pub(crate) use wakes::{Wakes, wakes};
