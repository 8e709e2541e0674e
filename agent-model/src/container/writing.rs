//! Writes the spec of a `Container`: as documents have it, and as its digest is taken of it.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Capability, ContainerSpec, Mount, Network, PortMapping, PullPolicy, TransportProtocol};
use crate::{
    DEFAULT_STOP_TIMEOUT, TargetPath,
    quantity::duration_text,
    workload::{RestartPolicy, StopSignal},
    written::Written,
};

impl ContainerSpec {
    /// The spec as the value that its digest is taken of: defaults left out, what has no order sorted, and of
    /// each variable's value only its digest, because what two documents differ in is shown to people.
    pub(crate) fn canonical(&self) -> Value {
        let mut sorted = self.clone();
        sorted.ports.sort_by_key(|port| (port.host, port.protocol, port.host_ip, port.container));
        sorted.mounts.sort_by(|one, two| one.target.cmp(&two.target));
        sorted.written(self.env.canonical()).into()
    }

    /// The spec without what has its default, its environment as `env` shows it.
    pub(super) fn written(&self, env: Written) -> Written {
        let Self {
            image,
            pull_policy,
            command,
            args,
            env: _,
            ports,
            mounts,
            devices,
            network,
            restart,
            limits,
            user,
            workdir,
            read_only_rootfs,
            cap_add,
            cap_drop,
            probes,
            stop_signal,
            stop_timeout,
            log,
            labels,
        } = self;
        let labels =
            labels.iter().fold(Written::default(), |labels, (key, value)| labels.with(key, value.as_str()));
        Written::default()
            .with("image", image.as_str())
            .with_other_than(PullPolicy::default(), "pullPolicy", *pull_policy, PullPolicy::as_str)
            .with_items("command", command.iter().map(String::as_str))
            .with_items("args", args.iter().map(String::as_str))
            .with_filled("env", env)
            .with_items("ports", ports.iter().map(PortMapping::written))
            .with_items("mounts", mounts.iter().map(Mount::written))
            .with_items("devices", devices.iter().map(TargetPath::as_str))
            .with_other_than(&Network::default(), "network", network, Network::as_str)
            .with_other_than(RestartPolicy::default(), "restart", *restart, RestartPolicy::as_str)
            .with_filled("limits", limits.written())
            .with_some("user", user.as_ref().map(ToString::to_string))
            .with_some("workdir", workdir.as_ref().map(ToString::to_string))
            .with_other_than(false, "readOnlyRootfs", *read_only_rootfs, |read_only| read_only)
            .with_items("capAdd", cap_add.iter().copied().map(Capability::as_str))
            .with_items("capDrop", cap_drop.iter().copied().map(Capability::as_str))
            .with_filled("probes", probes.written())
            .with_some("stopSignal", stop_signal.map(StopSignal::as_str))
            .with_other_than(DEFAULT_STOP_TIMEOUT, "stopTimeout", *stop_timeout, duration_text)
            .with_filled("log", log.written())
            .with_filled("labels", labels)
    }
}

impl PortMapping {
    fn written(&self) -> Written {
        let Self { host, container, protocol, host_ip } = self;
        Written::default()
            .with("host", *host)
            .with("container", *container)
            .with_other_than(TransportProtocol::default(), "protocol", *protocol, TransportProtocol::as_str)
            .with_some("hostIp", host_ip.map(|ip| ip.to_string()))
    }
}

impl Mount {
    fn written(&self) -> Written {
        let Self { source, target, read_only } = self;
        Written::default()
            .with("type", source.kind())
            .with_some("source", source.name())
            .with("target", target.as_str())
            .with_other_than(false, "readOnly", *read_only, |read_only| read_only)
    }
}

/// Writes what [`ContainerSpec::read`] reads. Defaults are left out.
impl Serialize for ContainerSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Map::from(self.written(self.env.written())).serialize(serializer)
    }
}
