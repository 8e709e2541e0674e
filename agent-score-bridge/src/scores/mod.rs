//! The Scores that come with the bridge.

mod config_set;
mod container;
mod container_app;
mod file;
mod process;
#[cfg(test)]
mod tests;

pub use config_set::{ConfigFile, ConfigSet, InvalidRelativePath, RelativePath};
pub use container::Container;
pub use container_app::{ContainerApp, MountedConfig};
pub use file::File;
pub use process::Process;
