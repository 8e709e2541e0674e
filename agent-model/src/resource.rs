//! A thing that a device should have, whatever format declared it.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Ask, CannotUnseal, Claim, ContainerSpec, Digest, Environment, Failure, FileSpec, ProcessSpec,
    ResourceName, SealedValue, ShellJobSpec, SystemdUnitSpec, Unsealer, did_you_mean, sealed::Holds,
};

/// The kinds of resource there are. Which of them an agent has a reconciler for is known to its
/// registry only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A container: [`ContainerSpec`].
    Container,
    /// A regular file: [`FileSpec`].
    File,
    /// A program that runs: [`ProcessSpec`].
    Process,
    /// A script that runs to its end: [`ShellJobSpec`].
    ShellJob,
    /// A unit of systemd: [`SystemdUnitSpec`].
    SystemdUnit,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Container, Self::File, Self::Process, Self::ShellJob, Self::SystemdUnit];

    /// The kind as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "Container",
            Self::File => "File",
            Self::Process => "Process",
            Self::ShellJob => "ShellJob",
            Self::SystemdUnit => "SystemdUnit",
        }
    }
}

impl ResourceKind {
    /// Whether such a resource is something that runs, and so can be restarted.
    pub fn runs(self) -> bool {
        match self {
            Self::File => false,
            Self::Container | Self::Process | Self::SystemdUnit => true,
            // It runs once: what it names in `restartOn` does not make it run again.
            Self::ShellJob => false,
        }
    }

    /// The names that a resource of this kind waits for: also those whose change restarts it. Otherwise it
    /// could be restarted before they have changed, and never again for that.
    pub(crate) fn waits_for<'a>(
        self,
        depends_on: &'a [ResourceName],
        restart_on: &'a [ResourceName],
    ) -> impl Iterator<Item = &'a ResourceName> {
        depends_on.iter().chain(restart_on.iter().filter(move |_| self.runs()))
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ResourceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str);
            format!("{text:?} is no kind of resource; {}", did_you_mean(text, &names))
        })
    }
}

/// What a resource declares, by kind. Behind an `Arc`, so that a pass can hand it around freely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceSpec {
    /// A container.
    Container(Arc<ContainerSpec>),
    /// A regular file.
    File(Arc<FileSpec>),
    /// A program that runs.
    Process(Arc<ProcessSpec>),
    /// A script that runs to its end.
    ShellJob(Arc<ShellJobSpec>),
    /// A unit of systemd.
    SystemdUnit(Arc<SystemdUnitSpec>),
}

impl ResourceSpec {
    /// The kind of this spec.
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Container(_) => ResourceKind::Container,
            Self::File(_) => ResourceKind::File,
            Self::Process(_) => ResourceKind::Process,
            Self::ShellJob(_) => ResourceKind::ShellJob,
            Self::SystemdUnit(_) => ResourceKind::SystemdUnit,
        }
    }

    /// What a resource of this name takes possession of with this spec.
    pub(crate) fn claim(&self, name: &ResourceName) -> Claim {
        match self {
            Self::Container(_) => Claim::Container(name.clone()),
            Self::File(file) => Claim::File(file.path.clone()),
            Self::Process(_) => Claim::Process(name.clone()),
            Self::ShellJob(_) => Claim::ShellJob(name.clone()),
            Self::SystemdUnit(unit) => Claim::SystemdUnit(unit.unit.clone()),
        }
    }

    /// What it asks of the device.
    pub fn asks(&self) -> Vec<Ask<'_>> {
        match self {
            Self::Container(container) => container.asks(),
            Self::File(file) => {
                let rights = file.mode.grants_rights().then_some(Ask::GrantRights(file.mode));
                [Ask::WriteFile(&file.path)].into_iter().chain(rights).collect()
            }
            Self::Process(process) => {
                vec![Ask::RunAs { user: process.user.as_ref(), group: process.group.as_ref() }]
            }
            Self::SystemdUnit(unit) => {
                let file = unit.content.as_ref().map(|_| Ask::WriteFile(unit.unit.file()));
                let drop_ins = (!unit.drop_ins.is_empty()).then(|| Ask::WriteFile(unit.unit.drop_ins()));
                [Ask::ManageUnit(&unit.unit)].into_iter().chain(file).chain(drop_ins).collect()
            }
            Self::ShellJob(job) => job.asks(),
        }
    }

    /// The spec's digest. It ignores defaults and the order of fields, and is pinned by golden
    /// tests: were it to change with an agent upgrade, a fleet would restart its workloads.
    fn digest(&self) -> Digest {
        let domain = match self {
            Self::Container(_) => "harmony/spec/Container",
            Self::File(_) => "harmony/spec/File",
            Self::Process(_) => "harmony/spec/Process",
            Self::ShellJob(_) => "harmony/spec/ShellJob",
            Self::SystemdUnit(_) => "harmony/spec/SystemdUnit",
        };
        Digest::of_value(domain, &self.canonical())
    }

    /// Its variables, where it is of a kind that has any.
    fn env(&self) -> Option<&Environment> {
        match self {
            Self::Container(container) => Some(&container.env),
            Self::Process(process) => Some(&process.env),
            Self::ShellJob(job) => Some(&job.env),
            Self::File(_) | Self::SystemdUnit(_) => None,
        }
    }

    /// What of it is sealed, each with its place in the spec.
    fn boxes(&self) -> impl Iterator<Item = (String, &SealedValue)> {
        let content = match self {
            Self::File(file) => file.content.sealed(),
            _ => None,
        };
        let variables = self.env().into_iter().flat_map(Environment::boxes);
        let variables = variables.map(|(name, sealed)| (format!("env {name}"), sealed));
        content.map(|sealed| ("content".to_owned(), sealed)).into_iter().chain(variables)
    }

    /// The same with what `unsealer` can tell of its boxes; `None` where nothing is sealed.
    fn with_boxes_tried(&self, unsealer: &dyn Unsealer) -> Option<Self> {
        self.boxes().next()?;
        let env = self.env().map(|env| env.with_boxes_tried(unsealer)).unwrap_or_default();
        Some(match self {
            Self::Container(spec) => ContainerSpec { env, ..(**spec).clone() }.into(),
            Self::Process(spec) => ProcessSpec { env, ..(**spec).clone() }.into(),
            Self::ShellJob(spec) => ShellJobSpec { env, ..(**spec).clone() }.into(),
            Self::File(spec) => {
                let content = spec.content.with_box_tried(Holds::Bytes, unsealer);
                FileSpec { content, ..(**spec).clone() }.into()
            }
            Self::SystemdUnit(_) => return None,
        })
    }

    /// The value that the digest is taken of: an object without the fields that have their default.
    pub(crate) fn canonical(&self) -> Value {
        match self {
            Self::Container(container) => container.canonical(),
            Self::File(file) => file.canonical(),
            Self::Process(process) => process.canonical(),
            Self::ShellJob(job) => job.canonical(),
            Self::SystemdUnit(unit) => unit.canonical(),
        }
    }
}

impl From<ContainerSpec> for ResourceSpec {
    fn from(container: ContainerSpec) -> Self {
        Self::Container(Arc::new(container))
    }
}

impl From<FileSpec> for ResourceSpec {
    fn from(file: FileSpec) -> Self {
        Self::File(Arc::new(file))
    }
}

impl From<ProcessSpec> for ResourceSpec {
    fn from(process: ProcessSpec) -> Self {
        Self::Process(Arc::new(process))
    }
}

impl From<SystemdUnitSpec> for ResourceSpec {
    fn from(unit: SystemdUnitSpec) -> Self {
        Self::SystemdUnit(Arc::new(unit))
    }
}

impl From<ShellJobSpec> for ResourceSpec {
    fn from(job: ShellJobSpec) -> Self {
        Self::ShellJob(Arc::new(job))
    }
}

/// One declared thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name, unique in the document.
    pub name: ResourceName,
    /// Names of the resources that must be ready before it is acted on.
    pub depends_on: Vec<ResourceName>,
    /// Names of the resources whose change restarts it, and which it waits for. Only workloads can be
    /// restarted; for a `File` or a `ShellJob` this has no effect.
    pub restart_on: Vec<ResourceName>,
    /// What it declares.
    pub spec: ResourceSpec,
    digest: Digest,
}

impl Resource {
    /// A resource without dependencies.
    pub fn new(name: ResourceName, spec: ResourceSpec) -> Self {
        let digest = spec.digest();
        Self { name, depends_on: Vec::new(), restart_on: Vec::new(), spec, digest }
    }

    /// The digest of the spec alone, computed once.
    pub fn spec_digest(&self) -> Digest {
        self.digest
    }

    /// The kind of the spec.
    pub fn kind(&self) -> ResourceKind {
        self.spec.kind()
    }

    pub(crate) fn has_boxes(&self) -> bool {
        self.spec.boxes().next().is_some()
    }

    /// The same with what `unsealer` can tell of what is sealed in it. From then on its digest is that of what is in
    /// the boxes, not of the boxes.
    pub(crate) fn with_boxes_tried(&self, unsealer: &dyn Unsealer) -> Self {
        let Some(spec) = self.spec.with_boxes_tried(unsealer) else { return self.clone() };
        Self { digest: spec.digest(), spec, ..self.clone() }
    }

    /// Why it cannot be had: the first of its boxes that does not open, where they were tried.
    pub fn cannot_unseal(&self) -> Option<Failure> {
        let closed = |(place, sealed): (String, &SealedValue)| Some((place, sealed.closed()?.clone()));
        let (place, why): (String, CannotUnseal) = self.spec.boxes().find_map(closed)?;
        Some(Failure::lasting(why.reason(), format!("{place}: {why}")))
    }

    /// Names of the resources that must be ready before it is acted on: what it depends on and, where it
    /// runs, those whose change restarts it.
    pub fn waits_for(&self) -> impl Iterator<Item = &ResourceName> {
        self.kind().waits_for(&self.depends_on, &self.restart_on)
    }

    /// What it takes possession of on the device.
    pub fn claim(&self) -> Claim {
        self.spec.claim(&self.name)
    }

    /// What the digest of a desired state covers of it besides its spec. The order of names means
    /// nothing.
    pub(crate) fn canonical_without_spec(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("kind".to_owned(), self.kind().as_str().into());
        for (key, names) in [("dependsOn", &self.depends_on), ("restartOn", &self.restart_on)] {
            if !names.is_empty() {
                let mut names: Vec<&str> = names.iter().map(ResourceName::as_str).collect();
                names.sort_unstable();
                fields.insert(key.to_owned(), names.into());
            }
        }
        fields
    }
}
