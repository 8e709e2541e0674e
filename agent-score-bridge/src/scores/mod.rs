//! The Scores that come with the bridge.

mod config_set;
mod file;
mod process;
mod shell_job;
#[cfg(test)]
mod tests;

pub use config_set::{ConfigFile, ConfigSet, InvalidRelativePath, RelativePath};
pub use file::File;
pub use process::Process;
pub use shell_job::ShellJob;
