//! What all that runs has in common: how its health is found out, how long it waits when it ends again and
//! again, what of its output may leave the device, whom something happened to, and what is said of it.

pub(crate) mod backoff;
pub(crate) mod health;
pub(crate) mod printed;
pub(crate) mod probing;
mod wakes;
pub(crate) mod words;

pub(crate) use wakes::{Wakes, wakes};
