//! The rules of a policy, version 1, as they stand in `policy.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use agent_model::{Digest, Principal, ResourceKind, TargetPath};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What documents may do on this device. What the file leaves out is as in [`Policy::default`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    /// The version of these rules.
    pub version: PolicyVersion,
    /// Kinds of resource.
    pub kinds: Allowed<ResourceKind>,
    /// Whether a document may have what is as good as root on this device.
    pub root_equivalent: bool,
    /// Where files may be written and what may be mounted into containers: these, and all below them.
    pub paths: BTreeSet<PathPrefix>,
    /// Users that workloads may run as, as documents name them.
    pub users: Allowed<Principal>,
    /// Where images may come from.
    pub registries: Allowed<Registry>,
    /// Whether containers may share the device's network.
    pub host_network: bool,
    /// Device nodes that workloads may use: these, and all below them.
    pub devices: BTreeSet<TargetPath>,
    /// Ports that may be published.
    pub ports: PortRange,
    /// Which shell jobs may run.
    pub shell_jobs: ShellJobRule,
    /// The scripts of `shellJobs = "AllowListed"`, by their SHA-256.
    pub scripts: BTreeSet<Digest>,
    /// Formats by the kind of their documents, each read or not. What of one that is not named here is the
    /// program's business, which knows them.
    pub formats: BTreeMap<String, Switch>,
    /// What becomes of a workload that this device cannot hold to its limits.
    pub unenforceable_limits: Tolerance,
    /// What becomes of documents that expire, and of those signed with a key whose trust ends, where the device's
    /// clock cannot tell whether that is over.
    pub unset_clock: Tolerance,
}

impl Default for Policy {
    /// The policy of a device without a policy file. Each line's reason is in `docs/policy.md`.
    fn default() -> Self {
        Self {
            version: PolicyVersion,
            kinds: Allowed::Any,
            root_equivalent: true,
            paths: BTreeSet::from([PathPrefix::ROOT]),
            users: Allowed::Any,
            registries: Allowed::Any,
            host_network: false,
            devices: BTreeSet::new(),
            ports: PortRange { first: 1024, last: u16::MAX },
            shell_jobs: ShellJobRule::Disabled,
            scripts: BTreeSet::new(),
            formats: BTreeMap::new(),
            unenforceable_limits: Tolerance::Tolerated,
            unset_clock: Tolerance::Tolerated,
        }
    }
}

/// Version 1, the only one that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct PolicyVersion;

impl TryFrom<u64> for PolicyVersion {
    type Error = String;

    fn try_from(version: u64) -> Result<Self, String> {
        match version {
            1 => Ok(Self),
            _ => Err(format!("this agent reads policies of version 1, and this one is of version {version}")),
        }
    }
}

impl From<PolicyVersion> for u64 {
    fn from(_: PolicyVersion) -> Self {
        1
    }
}

/// Everything, or a list of what is allowed; an empty one allows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed<T> {
    /// `["*"]`.
    Any,
    /// These only.
    Only(BTreeSet<T>),
}

impl<T: Ord> Allowed<T> {
    /// Whether any of what is allowed fits.
    pub fn allows(&self, fits: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => list.iter().any(fits),
        }
    }
}

/// As it stands for everything.
const ANY: &str = "*";

impl<T: fmt::Display> Serialize for Allowed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.collect_seq([ANY]),
            Self::Only(list) => serializer.collect_seq(list.iter().map(T::to_string)),
        }
    }
}

impl<'de, T: Ord + FromStr<Err: fmt::Display>> Deserialize<'de> for Allowed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts == [ANY] {
            return Ok(Self::Any);
        }
        if texts.iter().any(|text| text == ANY) {
            return Err(D::Error::custom(r#""*" allows everything, so nothing can be listed beside it"#));
        }
        let list: Result<BTreeSet<T>, _> = texts.iter().map(|text| text.parse()).collect();
        list.map(Self::Only).map_err(D::Error::custom)
    }
}

/// A path of the device and all below it; `/` is all there is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(Option<TargetPath>);

impl PathPrefix {
    /// `/`.
    pub const ROOT: Self = Self(None);

    /// Whether it is this path or above it.
    pub fn covers(&self, path: &TargetPath) -> bool {
        self.0.as_ref().is_none_or(|prefix| prefix == path || path.is_below(prefix))
    }

    /// The path; `None` for `/`.
    pub fn path(&self) -> Option<&TargetPath> {
        self.0.as_ref()
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = agent_model::InvalidTargetPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "/" { Ok(Self::ROOT) } else { text.parse().map(Some).map(Self) }
    }
}

impl From<PathPrefix> for String {
    fn from(prefix: PathPrefix) -> Self {
        prefix.0.map_or_else(|| "/".to_owned(), Self::from)
    }
}

/// A registry, or a part of one: `docker.io`, `registry.example.com:5000/team`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registry(String);

impl Registry {
    /// Whether the image of that reference comes from here. A reference whose first part has neither a dot nor
    /// a port, and is not `localhost`, is one of `docker.io`, as Docker and Podman complete it.
    pub fn holds(&self, image: &str) -> bool {
        let host = image.split_once('/').map(|(host, _)| host);
        let is_host = |host: &str| host.contains(['.', ':']) || host == "localhost";
        let completed = match host.filter(|host| is_host(host)) {
            Some(_) => image.to_owned(),
            None if host.is_some() => format!("docker.io/{image}"),
            None => format!("docker.io/library/{image}"),
        };
        completed.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl FromStr for Registry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/');
        let host = text.split('/').next().unwrap_or_default();
        let named = host.contains(['.', ':']) || host == "localhost";
        if named && text.chars().all(plain) && text.split('/').all(|part| !part.is_empty()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{text:?} is no registry; write it like \"docker.io\" or \"registry.example.com/team\""))
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Ports from one to another, as `"1024-65535"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    /// Whether it is one of them.
    pub fn holds(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(Self { first, last }),
            _ => Err(format!("{text:?} is no range of ports; write it like \"1024-65535\" or \"443\"")),
        }
    }
}

impl From<PortRange> for String {
    fn from(PortRange { first, last }: PortRange) -> Self {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    }
}

/// Which shell jobs may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShellJobRule {
    /// None.
    Disabled,
    /// Those whose script is listed.
    AllowListed,
    /// Those of documents that are signed.
    Signed,
}

/// Whether documents of a format are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Switch {
    /// They are answered `UnsupportedKind`.
    Disabled,
    /// They are read, if the format is built in.
    Enabled,
}

/// What becomes of something that a condition is tied to which this device cannot hold it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tolerance {
    /// It is taken as if there were no such condition, and the status says so.
    Tolerated,
    /// It is not taken.
    Refused,
}
