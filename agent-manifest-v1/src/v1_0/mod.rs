//! `AgentManifest` 1.0: the wire types, and how a resource is read.

mod resource;
mod wire;

use semver::Version;

pub(crate) use resource::read as read_resource;
pub use wire::{
    AgentManifest, ApiVersion, Container, ContainerLimits, ContainerUser, Cpus, Entry, Exec, File, Http,
    IdOrName, Kind, Limits, Log, Metadata, Mount, MountType, Port, Probe, Probes, Process, Protocol,
    PullPolicy, ResourceEntry, Restart, Scheme, Sealed, SealedTo, ShellJob, Size, Spec, SystemdUnit, Tcp,
    Text, UnitState, Variable,
};
pub(crate) use wire::{DURATION, SCHEMA_VERSION};

/// This version.
pub const VERSION: Version = Version::new(1, 0, 0);
