//! The Scores that come with the bridge.

mod config_set;
mod container;
mod file;
mod process;
#[cfg(test)]
mod tests;

pub use config_set::{ConfigFile, ConfigSet, InvalidRelativePath, RelativePath};
pub use container::Container;
pub use file::File;
pub use process::Process;
