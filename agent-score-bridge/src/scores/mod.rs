//! The Scores that come with the bridge.

mod config_set;
mod container;
mod container_app;
mod file;
mod process;
mod service_app;
mod shell_job;
mod systemd_unit;
#[cfg(test)]
mod tests;

pub use config_set::{ConfigFile, ConfigSet, InvalidRelativePath, RelativePath};
pub use container::Container;
pub use container_app::{ContainerApp, MountedConfig};
pub use file::File;
pub use process::Process;
pub use service_app::{Program, ServiceApp};
pub use shell_job::ShellJob;
pub use systemd_unit::SystemdUnit;
