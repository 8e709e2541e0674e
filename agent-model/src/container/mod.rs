//! What a `Container` resource declares.

mod image;
mod mount;
mod network;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use image::{ImageReference, InvalidImageReference, PullPolicy};
pub use mount::{InvalidVolumeName, Mount, MountSource, VolumeName};
pub use network::{InvalidNetworkName, Network, NetworkName, PortMapping, TransportProtocol};

use serde_json::Value;

use crate::{
    Ask, TargetPath,
    workload::{Environment, Limits, LogBounds, Probes, RestartPolicy, StopSignal},
};

/// A container that the device's container runtime runs, and that the agent alone starts again. Its name
/// there is that of the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// What it is made from.
    pub image: ImageReference,
    /// When the image is fetched.
    pub pull_policy: PullPolicy,
    /// What runs instead of the image's entrypoint; the image's own when empty.
    pub command: Vec<String>,
    /// Its arguments, instead of the image's.
    pub args: Vec<String>,
    /// Variables on top of the image's.
    pub env: Environment,
    /// Ports of the device that lead into it.
    pub ports: Vec<PortMapping>,
    /// What of outside is seen in it.
    pub mounts: Vec<Mount>,
    /// Device nodes that it may use, in it under the same path.
    pub devices: BTreeSet<TargetPath>,
    /// Which network it is in.
    pub network: Network,
    /// When it is started again after it ended.
    pub restart: RestartPolicy,
    /// What it may use. A container has no bound on open files of its own.
    pub limits: Limits,
    /// `user[:group]`, names or ids of the image; the image's own when `None`.
    pub user: Option<String>,
    /// Its working folder, a path in the container; the image's own when `None`.
    pub workdir: Option<TargetPath>,
    /// Whether nothing outside of its mounts can be written.
    pub read_only_rootfs: bool,
    /// Capabilities on top of the runtime's default, without `CAP_`.
    pub cap_add: BTreeSet<String>,
    /// Capabilities taken away from the runtime's default, without `CAP_`; `ALL` for all of them.
    pub cap_drop: BTreeSet<String>,
    /// How its health is found out.
    pub probes: Probes,
    /// What asks it to stop.
    pub stop_signal: StopSignal,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Duration,
    /// How much of what it prints is kept.
    pub log: LogBounds,
    /// Labels of the document's author; none of the agent's own.
    pub labels: BTreeMap<String, String>,
}

impl ContainerSpec {
    /// What it asks of the device.
    pub(crate) fn asks(&self) -> Vec<Ask<'_>> {
        todo!("declaring")
    }

    /// The value that the digest is taken of.
    pub(crate) fn canonical(&self) -> Value {
        todo!("declaring")
    }
}
