//! What all that runs has in common: how its health is found out, how long it waits when it ends again and
//! again, what of its output may leave the device, and whom something happened to.

pub(crate) mod backoff;
pub(crate) mod health;
pub(crate) mod printed;
pub(crate) mod probing;
mod wakes;

pub(crate) use wakes::{Wakes, wakes};
