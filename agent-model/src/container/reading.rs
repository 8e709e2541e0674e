//! Reads the spec of a `Container` as documents of every format write it.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::Value;

use super::{
    ContainerSpec, ContainerUser, HostPorts, Mount, MountSource, Network, PortMapping, PullPolicy,
    TransportProtocol, labels, mount::is_of_runtime,
};
use crate::{
    DEFAULT_STOP_TIMEOUT, Problem, TargetPath, UnknownKeys, pointer_to, quantity,
    reader::{Field, Findings, shown},
    workload::{self, Environment, Limits, LogBounds, Probes, RestartPolicy, StopSignal},
};

impl ContainerSpec {
    /// Reads the spec; `None` when too much of it is wrong, which `findings` then holds.
    pub fn read(spec: Field<'_>, findings: &mut Findings) -> Option<Self> {
        spec.object(findings, |fields| {
            let image = fields.required("image", Field::parsed);
            let pull_policy = fields.optional("pullPolicy", |field, findings| {
                field.word("pull policy", &PullPolicy::ALL, PullPolicy::as_str, findings)
            });
            let command = fields.optional("command", command);
            let args = fields.optional("args", workload::words);
            let env = fields.optional("env", Environment::read);
            let ports = fields.optional("ports", ports);
            let mounts = fields.optional("mounts", mounts);
            let devices = fields.optional("devices", |field, findings| field.list(findings, device));
            let network = fields.optional("network", Field::parsed);
            let restart = fields.optional("restart", RestartPolicy::read);
            let limits = fields.optional("limits", Limits::read_without_open_files);
            let user = fields.optional("user", user);
            let workdir = fields.optional("workdir", Field::parsed);
            let read_only_rootfs = fields.optional("readOnlyRootfs", Field::boolean);
            let cap_add = fields.optional("capAdd", |field, findings| field.list(findings, Field::parsed));
            let cap_drop = fields.optional("capDrop", |field, findings| field.list(findings, Field::parsed));
            let probes = fields.optional("probes", Probes::read);
            let stop_signal = fields.optional("stopSignal", StopSignal::read);
            let stop_timeout = fields.optional("stopTimeout", quantity::duration(workload::STOP_TIMEOUT));
            let log = fields.optional("log", LogBounds::read);
            let labels = fields.optional("labels", labels::read);
            let spec = Self {
                image: image?,
                pull_policy: pull_policy.unwrap_or_default(),
                command: command.unwrap_or_default(),
                args: args.unwrap_or_default(),
                env: env.unwrap_or_default(),
                ports: ports.unwrap_or_default(),
                mounts: mounts.unwrap_or_default(),
                devices: devices.unwrap_or_default().into_iter().collect(),
                network: network.unwrap_or_default(),
                restart: restart.unwrap_or_default(),
                limits: limits.unwrap_or_default(),
                user,
                workdir,
                read_only_rootfs: read_only_rootfs.unwrap_or_default(),
                cap_add: cap_add.unwrap_or_default().into_iter().collect(),
                cap_drop: cap_drop.unwrap_or_default().into_iter().collect(),
                probes: probes.unwrap_or_default(),
                stop_signal,
                stop_timeout: stop_timeout.unwrap_or(DEFAULT_STOP_TIMEOUT),
                log: log.unwrap_or_default(),
                labels: labels.unwrap_or_default(),
            };
            let contradictions = spec.contradictions(&fields.pointer);
            let is_sound = contradictions.is_empty();
            fields.findings.extend(contradictions);
            is_sound.then_some(spec)
        })
    }

    /// What is wrong with fields only together, in a document that has the spec at `pointer`.
    fn contradictions(&self, pointer: &str) -> Vec<Problem> {
        let problem = |key: &str, message: String| Problem { pointer: pointer_to(pointer, key), message };
        let unreachable = (!self.ports.is_empty() && !self.network.publishes()).then(|| {
            let message = match self.network {
                Network::Host => "in the network Host it is reached at its own ports, and has none to publish; leave them out",
                _ => "in the network None it cannot be reached, and has no ports to publish; leave them out",
            };
            problem("ports", message.to_owned())
        });
        let both = self.cap_add.intersection(&self.cap_drop).map(|both| {
            problem("capDrop", format!("{:?} is also in capAdd; keep it in one of them", both.as_str()))
        });
        unreachable.into_iter().chain(both).chain(self.commands().too_long(pointer)).collect()
    }

    /// What is wrong with the spec, which was made by a program and may hold what no document can; pointers
    /// lead from the spec.
    pub fn problems(&self) -> Vec<Problem> {
        let written: Value = self.written(self.env.written()).into();
        let mut findings = Findings::new(UnknownKeys::AreProblems);
        Self::read(Field { value: &written, pointer: String::new() }, &mut findings);
        findings.into_parts().0
    }
}

/// A command; the image's own where there is no word.
fn command(field: Field<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    match field.value.as_array().map(Vec::as_slice) {
        Some([]) => Some(Vec::new()),
        _ => workload::command(field, findings),
    }
}

/// A user by name or number, with or without a group.
fn user(field: Field<'_>, findings: &mut Findings) -> Option<ContainerUser> {
    match field.value {
        Value::String(text) => field.parse(text, findings),
        Value::Number(id) if id.is_u64() => field.parse(&id.to_string(), findings),
        _ => field.mistyped("a user like \"app\", 1000 or \"1000:1000\"", findings),
    }
}

fn device(field: Field<'_>, findings: &mut Findings) -> Option<TargetPath> {
    let path: TargetPath = field.parse(field.text(findings)?, findings)?;
    if path.components().next() != Some("dev") || path.components().nth(1).is_none() {
        let message = format!("{:?} is no device: give a path below /dev", shown(path.as_str()));
        findings.problem(field.pointer, message);
        return None;
    }
    Some(path)
}

/// Ports, no two of which the device could not have both.
fn ports(field: Field<'_>, findings: &mut Findings) -> Option<Vec<PortMapping>> {
    let mut taken = HostPorts::default();
    field.list(findings, |field, findings| {
        let pointer = field.pointer.clone();
        let port = port(field, findings)?;
        if let Some(first) = taken.take(&port, pointer.clone()) {
            let message = format!("the device's port {port} is already taken at {first}");
            findings.problem(pointer_to(&pointer, "host"), message);
            return None;
        }
        Some(port)
    })
}

fn port(field: Field<'_>, findings: &mut Findings) -> Option<PortMapping> {
    field.object(findings, |fields| {
        let host = fields.required("host", quantity::count(workload::PORT));
        let container = fields.required("container", quantity::count(workload::PORT));
        let protocol = fields.optional("protocol", |field, findings| {
            field.word("protocol", &TransportProtocol::ALL, TransportProtocol::as_str, findings)
        });
        let host_ip = fields.optional("hostIp", address);
        let protocol = protocol.unwrap_or_default();
        Some(PortMapping { host: host?, container: container?, protocol, host_ip })
    })
}

fn address(field: Field<'_>, findings: &mut Findings) -> Option<IpAddr> {
    let text = field.text(findings)?;
    let address = text.parse();
    if address.is_err() {
        let message = format!("{:?} is no address: use one of IPv4 or IPv6, like \"127.0.0.1\"", shown(text));
        findings.problem(field.pointer, message);
    }
    address.ok()
}

/// Mounts, each at a place of its own.
fn mounts(field: Field<'_>, findings: &mut Findings) -> Option<Vec<Mount>> {
    let mut seen: BTreeMap<TargetPath, String> = BTreeMap::new();
    field.list(findings, |field, findings| {
        let pointer = field.pointer.clone();
        let mount = mount(field, findings)?;
        if let Some(first) = seen.get(&mount.target) {
            let message = format!("{} is already the target of {first}", mount.target);
            findings.problem(pointer_to(&pointer, "target"), message);
            return None;
        }
        seen.insert(mount.target.clone(), pointer);
        Some(mount)
    })
}

fn mount(field: Field<'_>, findings: &mut Findings) -> Option<Mount> {
    field.object(findings, |fields| {
        let kind = fields.required("type", |field, findings| {
            field.word("type of mount", &MountSource::KINDS, |kind| kind, findings)
        });
        let source = match kind {
            Some("Bind") => fields.required("source", Field::parsed).map(MountSource::Bind),
            Some("Volume") => fields.required("source", Field::parsed).map(MountSource::Volume),
            Some(_) => {
                if let Some(source) = fields.take("source") {
                    fields
                        .findings
                        .problem(source.pointer, "a Tmpfs is memory and has no source; leave it out");
                }
                Some(MountSource::Tmpfs)
            }
            None => fields.take("source").and(None),
        };
        let target = fields.required("target", Mount::read_target);
        let read_only = fields.optional("readOnly", Field::boolean).unwrap_or_default();
        Some(Mount { source: source?, target: target?, read_only })
    })
}

impl Mount {
    /// Reads the target of a mount: a path at which the runtime itself puts nothing.
    pub fn read_target(field: Field<'_>, findings: &mut Findings) -> Option<TargetPath> {
        let target: TargetPath = field.parse(field.text(findings)?, findings)?;
        if is_of_runtime(&target) {
            let message = format!(
                "{:?} is where the runtime itself puts something; choose another place",
                shown(target.as_str())
            );
            findings.problem(field.pointer, message);
            return None;
        }
        Some(target)
    }
}
