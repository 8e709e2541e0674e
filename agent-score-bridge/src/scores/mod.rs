//! The Scores that come with the bridge.

mod config_set;
mod file;

pub use config_set::{ConfigFile, ConfigSet, InvalidRelativePath, RelativePath};
pub use file::File;
