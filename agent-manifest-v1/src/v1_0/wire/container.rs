//! The spec of a `Container`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    TARGET_PATH, Variable,
    process::{ARGUMENT, DURATION, FOLDER, PROGRAM, SIGNAL, VARIABLE},
    workload::{Cpus, Log, Probes, Restart, Size},
};

/// The grammar of `distribution/reference` without upper case but in the tag. Its length is told in words.
const IMAGE: &str = concat!(
    r"^(((localhost|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?",
    r"|[a-z0-9]([a-z0-9-]*[a-z0-9])?:[0-9]{1,5})/)?",
    r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*)*",
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?",
    r"(@(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?$"
);
/// An address of IPv4, or something like one of IPv6.
const ADDRESS: &str = concat!(
    r"^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
    r"|[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*)$"
);
/// What a runtime calls a volume, or a network.
const NAME: &str = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$";
/// A path below `/dev`.
const DEVICE: &str = r"^/dev(/([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+))+$";
/// A user's name or number and, behind a colon, those of a group.
const USER: &str =
    r"^[^\s\x00-\x1f\x7f:/,-][^\s\x00-\x1f\x7f:/,]*(:[^\s\x00-\x1f\x7f:/,-][^\s\x00-\x1f\x7f:/,]*)?$";
/// One of the kernel's, or all of them.
const CAPABILITY: &str = concat!(
    r"^(ALL|(CAP_)?(AUDIT_CONTROL|AUDIT_READ|AUDIT_WRITE|BLOCK_SUSPEND|BPF|CHECKPOINT_RESTORE|CHOWN|DAC_OVERRIDE",
    r"|DAC_READ_SEARCH|FOWNER|FSETID|IPC_LOCK|IPC_OWNER|KILL|LEASE|LINUX_IMMUTABLE|MAC_ADMIN|MAC_OVERRIDE|MKNOD",
    r"|NET_ADMIN|NET_BIND_SERVICE|NET_BROADCAST|NET_RAW|PERFMON|SETFCAP|SETGID|SETPCAP|SETUID|SYSLOG|SYS_ADMIN",
    r"|SYS_BOOT|SYS_CHROOT|SYS_MODULE|SYS_NICE|SYS_PACCT|SYS_PTRACE|SYS_RAWIO|SYS_RESOURCE|SYS_TIME",
    r"|SYS_TTY_CONFIG|WAKE_ALARM))$"
);
/// The key of a label; that it is none of the agent's own is told in words.
const LABEL: &str = r"^[!-<>-~]+$";

/// A container that the device's runtime runs, under the resource's name, and that the agent starts again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    /// What it is made from, for example registry.example.com/team/app:1.2, or with @sha256:… exactly this build of it.
    /// Upper case is for the tag only; the name has at most 255 bytes.
    #[schemars(regex(pattern = IMAGE))]
    pub image: String,
    /// When the image is fetched. IfNotPresent by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// What runs instead of the image's entrypoint and its arguments: up to 1,024 words, with args and the
    /// environment at most 128 KiB. No shell reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 1024),
        inner(regex(pattern = ARGUMENT)),
        extend("prefixItems" = [{"type": "string", "pattern": PROGRAM}])
    )]
    pub command: Option<Vec<String>>,
    /// Its arguments: those of the command or, where there is none, instead of the image's own for its entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), inner(regex(pattern = ARGUMENT)))]
    pub args: Option<Vec<String>>,
    /// Variables on top of the image's. Values are strings, or sealed to the device: put numbers and booleans in quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("propertyNames" = {"pattern": VARIABLE, "maxLength": 255}))]
    pub env: Option<BTreeMap<String, Variable>>,
    /// Ports of the device that lead into it; not in the networks Host and None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
    /// What of outside is seen in it, each at a target of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    /// Device nodes that it may use, in it under the same path: paths below /dev.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = DEVICE), length(max = 4095)))]
    pub devices: Option<Vec<String>>,
    /// Its network: Bridge, that of the runtime, by default; Host, that of the device; None; or the name of one of
    /// the runtime's networks, which must exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = NAME),
        extend("not" = {"enum": ["bridge", "container", "default", "host", "none", "pasta", "private", "slirp4netns"]})
    )]
    pub network: Option<String>,
    /// When it is started again after it ended by itself. Always by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// What it may use; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ContainerLimits>,
    /// Whom it runs as: a user of the image by name or number, with a group like "1000:1000" if that is another one.
    /// What the image says by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<ContainerUser>,
    /// The folder it starts in, an absolute path in the container. What the image says by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = FOLDER), length(max = 4095))]
    pub workdir: Option<String>,
    /// Whether nothing outside of its mounts can be written. false by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_rootfs: Option<bool>,
    /// Capabilities on top of those that the runtime gives to each container, as capabilities(7) names them: NET_ADMIN,
    /// with or without CAP_; ALL for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = CAPABILITY)))]
    pub cap_add: Option<Vec<String>>,
    /// Capabilities that are taken from it; none that is also in capAdd.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = CAPABILITY)))]
    pub cap_drop: Option<Vec<String>>,
    /// How its health is found out. Commands run in it; ports are asked at the address where the device reaches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// The signal that asks it to stop: SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGKILL, SIGUSR1, SIGUSR2 or SIGWINCH. What
    /// the image says by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = SIGNAL))]
    pub stop_signal: Option<String>,
    /// How long it may take to stop before it is killed: up to 1h, 10s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub stop_timeout: Option<String>,
    /// How much of what it prints is kept on the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
    /// Labels that the runtime keeps and shows: up to 64, the values of at most 4,096 bytes. Those that begin with
    /// io.harmony. are the agent's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "maxProperties" = 64,
        "propertyNames" = {"pattern": LABEL, "maxLength": 255},
        "patternProperties" = {r"^io\.harmony\.": false},
        "additionalProperties" = {"type": "string", "pattern": ARGUMENT, "maxLength": 4096}
    ))]
    pub labels: Option<BTreeMap<String, String>>,
}

/// When an image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum PullPolicy {
    /// When the device has none of that reference.
    IfNotPresent,
    /// Before every creation of the container.
    Always,
    /// Never: it must be there.
    Never,
}

/// A port of the device that leads into a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// The device's port; no other resource can have it for the same protocol and address.
    #[schemars(range(min = 1, max = 65535))]
    pub host: u16,
    /// The container's port.
    #[schemars(range(min = 1, max = 65535))]
    pub container: u16,
    /// What is spoken there. Tcp by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The device's address, of IPv4 or IPv6; all of them by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ADDRESS))]
    pub host_ip: Option<String>,
}

/// What is spoken at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Something of outside that is seen in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["source"], "properties": {"type": {"const": "Bind"}, "source": {"type": "string", "pattern": TARGET_PATH, "maxLength": 4095}}},
    {"required": ["source"], "properties": {"type": {"const": "Volume"}, "source": {"type": "string", "pattern": NAME}}},
    {"properties": {"type": {"const": "Tmpfs"}, "source": {"type": "null"}}},
]))]
pub struct Mount {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MountType,
    /// For Bind, the path on the device; for Volume, the volume's name; for Tmpfs, nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where it is seen: an absolute path in the container, not below /proc or /sys.
    #[schemars(
        regex(pattern = TARGET_PATH),
        length(max = 4095),
        extend("not" = {"pattern": "^(/proc|/sys)(/|$)|^/dev$"})
    )]
    pub target: String,
    /// Whether it can only be read. false by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum MountType {
    /// A file or folder of the device, which must exist.
    Bind,
    /// A volume of the runtime, made when it is not there, and never removed by the agent.
    Volume,
    /// Memory, empty at each start.
    Tmpfs,
}

/// Whom a container runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ContainerUser {
    /// A user by number.
    Id(#[schemars(range(max = 4_294_967_294_u32))] u32),
    /// A user by name or number, and a group if it is another one: "app", "1000:1000".
    Named(#[schemars(regex(pattern = USER), length(max = 65))] String),
}

/// Bounds on what a container uses. What is left out is unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerLimits {
    /// Memory: at least 1Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Processor time, in processors: at least 10m, a hundredth of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_194_304))]
    pub pids: Option<u64>,
}
