//! From a declaration to what the runtime is asked to create. Pure.

use std::collections::{BTreeMap, HashMap};

use agent_model::{ContainerSpec, Mount, MountSource, Network, PortMapping};
use bollard::models::{
    ContainerCreateBody, DeviceMapping, HealthConfig, HostConfig, HostConfigLogConfig, Mount as MountRequest,
    MountType, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};

use super::engine::Abilities;

/// What the runtime is asked to create, with these variables; `sources` is where the mounts' sources really are. The image goes by its
/// name, which people see in the runtime's own lists.
pub(super) fn request(
    spec: &ContainerSpec,
    env: &BTreeMap<String, String>,
    sources: &BTreeMap<String, String>,
    labels: impl IntoIterator<Item = (String, String)>,
    abilities: &Abilities,
) -> ContainerCreateBody {
    let list = |values: &[String]| (!values.is_empty()).then(|| values.to_vec());
    let labels = spec.labels.iter().map(|(name, value)| (name.clone(), value.clone())).chain(labels);
    ContainerCreateBody {
        image: Some(spec.image.to_string()),
        entrypoint: list(&spec.command),
        cmd: list(&spec.args),
        env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: spec.user.as_ref().map(ToString::to_string),
        working_dir: spec.workdir.as_ref().map(|folder| folder.as_str().to_owned()),
        exposed_ports: Some(spec.ports.iter().map(port_of).collect()),
        labels: Some(labels.collect()),
        stop_signal: spec.stop_signal.map(|signal| signal.as_str().to_owned()),
        stop_timeout: Some(whole_seconds(spec.stop_timeout)),
        // What an image says about its health is not asked: probes of the declaration are. Podman takes even
        // this for a health check, and looks for systemd because of it.
        healthcheck: (!abilities.is_podman)
            .then(|| HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        host_config: Some(host(spec, sources, abilities)),
        ..ContainerCreateBody::default()
    }
}

fn host(spec: &ContainerSpec, sources: &BTreeMap<String, String>, abilities: &Abilities) -> HostConfig {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let binding = PortBinding {
            host_ip: port.host_ip.map(|ip| ip.to_string()),
            host_port: Some(port.host.to_string()),
        };
        bindings.entry(port_of(port)).or_default().get_or_insert_default().push(binding);
    }
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    HostConfig {
        port_bindings: Some(bindings),
        mounts: Some(spec.mounts.iter().map(|mount| request_of(mount, sources)).collect()),
        devices: Some(spec.devices.iter().map(|device| device_of(device.as_str())).collect()),
        network_mode: Some(match &spec.network {
            Network::Bridge => "bridge".to_owned(),
            Network::Host => "host".to_owned(),
            Network::None => "none".to_owned(),
            Network::Named(name) => name.to_string(),
        }),
        memory: spec.limits.memory.filter(|_| abilities.memory).map(number),
        nano_cpus: spec
            .limits
            .cpu_millis
            .filter(|_| abilities.cpu)
            .map(|millis| number(millis.saturating_mul(1_000_000))),
        pids_limit: spec.limits.pids.filter(|_| abilities.pids).map(number),
        readonly_rootfs: Some(spec.read_only_rootfs),
        cap_add: Some(spec.cap_add.iter().map(|capability| capability.as_str().to_owned()).collect()),
        cap_drop: Some(spec.cap_drop.iter().map(|capability| capability.as_str().to_owned()).collect()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        // The agent alone starts it again.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(log(spec, abilities)),
        ..HostConfig::default()
    }
}

/// Podman keeps one file, which it begins anew at that size; docker keeps older ones too.
fn log(spec: &ContainerSpec, abilities: &Abilities) -> HostConfigLogConfig {
    let size = ("max-size".to_owned(), spec.log.max_size.to_string());
    let (driver, options) = if abilities.is_podman {
        ("k8s-file", HashMap::from([size]))
    } else {
        let files = ("max-file".to_owned(), spec.log.keep.saturating_add(1).to_string());
        ("json-file", HashMap::from([size, files]))
    };
    HostConfigLogConfig { typ: Some(driver.to_owned()), config: Some(options) }
}

fn request_of(mount: &Mount, sources: &BTreeMap<String, String>) -> MountRequest {
    let (typ, source) = match &mount.source {
        // A request of this form fails where there is no such path, instead of making a folder of it.
        MountSource::Bind(path) => {
            let source = sources.get(path.as_str()).cloned();
            (MountType::BIND, Some(source.unwrap_or_else(|| path.as_str().to_owned())))
        }
        MountSource::Volume(name) => (MountType::VOLUME, Some(name.to_string())),
        MountSource::Tmpfs => (MountType::TMPFS, None),
    };
    MountRequest {
        target: Some(mount.target.as_str().to_owned()),
        source,
        typ: Some(typ),
        read_only: Some(mount.read_only),
        ..MountRequest::default()
    }
}

fn device_of(path: &str) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(path.to_owned()),
        path_in_container: Some(path.to_owned()),
        cgroup_permissions: Some("rwm".to_owned()),
    }
}

/// The container's side of a port, as runtimes write it.
pub(super) fn port_of(port: &PortMapping) -> String {
    format!("{}/{}", port.container, port.protocol.as_str().to_ascii_lowercase())
}

/// The runtime counts in seconds, and none of less than one.
pub(super) fn whole_seconds(duration: std::time::Duration) -> i64 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// Limits that this runtime cannot hold a container to, each with why.
pub(super) fn unenforced(spec: &ContainerSpec, abilities: &Abilities) -> Vec<String> {
    let limits = [
        ("memory", spec.limits.memory.is_some(), abilities.memory),
        ("cpus", spec.limits.cpu_millis.is_some(), abilities.cpu),
        ("pids", spec.limits.pids.is_some(), abilities.pids),
    ];
    let lacking = limits.into_iter().filter(|(_, declared, able)| *declared && !able);
    lacking.map(|(name, ..)| format!("{name} ({} cannot limit it here)", abilities.version)).collect()
}
