//! What a `Container` resource declares.

mod asks;
mod capability;
mod folder;
mod host_ports;
mod image;
mod labels;
mod mount;
mod name;
mod network;
mod reading;
#[cfg(test)]
mod tests;
mod user;
mod writing;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use capability::{Capability, InvalidCapability};
pub use folder::ContainerFolder;
pub(crate) use host_ports::HostPorts;
pub use image::{ImageReference, InvalidImageReference, PullPolicy};
pub use mount::{InvalidVolumeName, Mount, MountSource, VolumeName};
pub use network::{InvalidNetworkName, Network, NetworkName, PortMapping, TransportProtocol};
pub use user::{ContainerUser, InvalidContainerUser};

use crate::{
    DEFAULT_STOP_TIMEOUT, TargetPath,
    workload::{Commands, Environment, Limits, LogBounds, Probes, RestartPolicy, StopSignal},
};

/// A container that the device's container runtime runs, and that the agent alone starts again. Its name
/// there is that of the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// What it is made from.
    pub image: ImageReference,
    /// When the image is fetched.
    pub pull_policy: PullPolicy,
    /// What runs instead of the image's entrypoint and its arguments; the image's own when empty.
    pub command: Vec<String>,
    /// Its arguments, instead of the image's.
    pub args: Vec<String>,
    /// Variables on top of the image's.
    pub env: Environment,
    /// Ports of the device that lead into it. No two conflict, and there are none where the network has no way in.
    pub ports: Vec<PortMapping>,
    /// What of outside is seen in it, each at a place of its own.
    pub mounts: Vec<Mount>,
    /// Device nodes that it may use, all below `/dev`, in it under the same path.
    pub devices: BTreeSet<TargetPath>,
    /// Which network it is in.
    pub network: Network,
    /// When it is started again after it ended.
    pub restart: RestartPolicy,
    /// What it may use. A container has no bound on open files of its own.
    pub limits: Limits,
    /// Whom it runs as, a user of the image; the image's own when `None`.
    pub user: Option<ContainerUser>,
    /// Its working folder, a path in the container; the image's own when `None`.
    pub workdir: Option<ContainerFolder>,
    /// Whether nothing outside of its mounts can be written.
    pub read_only_rootfs: bool,
    /// Capabilities on top of the runtime's default.
    pub cap_add: BTreeSet<Capability>,
    /// Capabilities taken away from the runtime's default; none that is added.
    pub cap_drop: BTreeSet<Capability>,
    /// How its health is found out.
    pub probes: Probes,
    /// What asks it to stop; the image's own when `None`.
    pub stop_signal: Option<StopSignal>,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Duration,
    /// How much of what it prints is kept.
    pub log: LogBounds,
    /// Labels of the document's author; none of the agent's own.
    pub labels: BTreeMap<String, String>,
}

impl ContainerSpec {
    /// A container of this image and all else at its default.
    pub fn new(image: ImageReference) -> Self {
        Self {
            image,
            pull_policy: PullPolicy::default(),
            command: Vec::new(),
            args: Vec::new(),
            env: Environment::default(),
            ports: Vec::new(),
            mounts: Vec::new(),
            devices: BTreeSet::new(),
            network: Network::default(),
            restart: RestartPolicy::default(),
            limits: Limits::default(),
            user: None,
            workdir: None,
            read_only_rootfs: false,
            cap_add: BTreeSet::new(),
            cap_drop: BTreeSet::new(),
            probes: Probes::default(),
            stop_signal: None,
            stop_timeout: DEFAULT_STOP_TIMEOUT,
            log: LogBounds::default(),
            labels: BTreeMap::new(),
        }
    }

    /// How many bytes its command, those of its probes and its environment have together.
    pub fn argument_bytes(&self) -> u64 {
        self.commands().bytes()
    }

    fn commands(&self) -> Commands<'_> {
        let place = if self.args.is_empty() { "/command" } else { "/args" };
        Commands::new(place, self.command.iter().chain(&self.args), &self.env, &self.probes)
    }
}
