//! From what the runtime knows to the status document.

pub mod report;

pub mod snapshot;
