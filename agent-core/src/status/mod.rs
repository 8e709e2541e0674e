//! From what the runtime knows to the status document, and how much of it is told when.

pub mod pace;
pub mod report;
pub mod size;
pub mod snapshot;
