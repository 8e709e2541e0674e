//! What a container asks of the device.

use super::{ContainerSpec, MountSource, Network};
use crate::Ask;

impl ContainerSpec {
    /// What it asks of the device. Volumes and other networks than the device's are the runtime's own, and ask
    /// for nothing.
    pub(crate) fn asks(&self) -> Vec<Ask<'_>> {
        let host_network = self.network == Network::Host;
        let mounts = self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Bind(path) => Some(Ask::BindMount { path, writable: !mount.read_only }),
            MountSource::Volume(_) | MountSource::Tmpfs => None,
        });
        let capabilities = self
            .cap_add
            .iter()
            .map(|capability| Ask::AddCapability { capability: *capability, host_network });
        [Ask::PullImage(self.image.as_str())]
            .into_iter()
            .chain(host_network.then_some(Ask::UseHostNetwork))
            .chain(self.ports.iter().map(|port| Ask::PublishPort(port.host)))
            .chain(mounts)
            .chain(self.devices.iter().map(Ask::UseDevice))
            .chain(capabilities)
            .collect()
    }
}
