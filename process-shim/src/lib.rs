//! What holds a process that outlives the agent, and the records that it shares with the agent.
//!
//! ```text
//! agent ──Launch──▶ process-shim hold ──Program──▶ process-shim exec ──▶ the program
//!        ◀─Answer──        │  ▲ SIGTERM: stop           (becomes it)
//!                          ├──▶ shim.json  what runs, and for which declaration
//!                          ├──▶ log        what it prints
//!                          └──▶ exit.json  how it ended
//! ```
//!
//! A shim starts one process once. It restarts nothing and knows nothing of documents: that is the
//! agent's business, and an agent of another version may be the one that reads its records. So every
//! record says its version, and what a version once meant it means for ever.

mod exit_record;
mod folder;
mod identity;
mod launch;
pub mod log_line;
mod process_tree;
mod record_file;
#[cfg(test)]
mod released_records;
mod shim_record;

pub use exit_record::{End, ExitRecord};
pub use folder::ProcessFolder;
pub use identity::{ProcessIdentity, boot_id, boot_time};
pub use launch::{
    Answer, Credentials, Inside, InvalidLaunch, Launch, LogSettings, Program, StartFailure, StartStage,
    StopSettings,
};
pub use process_tree::{for_each_descendant, left_behind};
pub use record_file::RecordError;
pub use shim_record::ShimRecord;

/// The version of all records and messages that this crate writes, and the only one that it reads. Keys that are added
/// need no other: who does not know them passes over them, and who misses them has a default for each.
pub const VERSION: u32 = 1;

/// The environment variable by which everything that descends from a process is recognised, also when
/// its shim is no more: the process's folder.
pub const MARKER: &str = "HARMONY_PROCESS";
