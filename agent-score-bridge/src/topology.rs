//! The device as Scores see it: what it knows about itself, and what can be declared on it.

use std::fmt;

use agent_model::{
    ContainerSpec, DeviceFacts, FileSpec, ProcessSpec, ResourceKind, ResourceName, ShellJobSpec,
    SystemdUnitSpec,
};

use crate::{InterpretError, Score};

/// A device on which Scores are interpreted.
///
/// What is declared while a Score is interpreted takes the Score's name, so a Score that stands for
/// several things interprets a child Score for each, under a name of its own.
pub trait Topology: Sized {
    /// What the device knows about itself.
    fn facts(&self) -> &DeviceFacts;

    /// How much [work](Self::spend) the document's Scores have left.
    fn remaining_work(&self) -> u64;

    /// Counts work of which a few words of the document can ask for much: steps of a template, turns
    /// of a loop, each 64 bytes of output. What is done once for each thing in the Score's body need
    /// not be counted.
    ///
    /// # Errors
    /// When the document's Scores have used up what they have together.
    fn spend(&mut self, work: u64) -> Result<(), InterpretError>;

    /// Interprets a child of the Score that is being interpreted. Returns the names of all that was
    /// declared for it, for what should wait for them.
    ///
    /// # Errors
    /// Those of the child; or there are too many children, or too many within one another. Nothing is
    /// declared then: whoever can do without the child goes on, and all others pass the error on.
    fn interpret<S: Score<Self>>(
        &mut self,
        child: &Child<'_>,
        score: &S,
    ) -> Result<Vec<ResourceName>, InterpretError>;
}

/// The capability to have containers.
pub trait Containers: Topology {
    /// Declares a container under the name of the Score that is being interpreted. `pointer` leads from
    /// that Score's body to what it was taken from, and is empty for the body as a whole.
    ///
    /// # Errors
    /// [`InterpretError::MissingCapability`] where the device has no reconciler for containers;
    /// [`InterpretError::Invalid`] for one that no document could declare.
    fn declare_container(&mut self, container: ContainerSpec, pointer: &str) -> Result<(), InterpretError>;
}

/// The capability to have regular files.
pub trait Files: Topology {
    /// Declares a file under the name of the Score that is being interpreted. `pointer` leads from
    /// that Score's body to what the path was taken from, and is empty for the body as a whole.
    ///
    /// # Errors
    /// [`InterpretError::MissingCapability`] where the device has no reconciler for files.
    fn declare_file(&mut self, file: FileSpec, pointer: &str) -> Result<(), InterpretError>;
}

/// The capability to have programs that run.
pub trait Processes: Topology {
    /// Declares a process under the name of the Score that is being interpreted. `pointer` leads from
    /// that Score's body to what it was taken from, and is empty for the body as a whole.
    ///
    /// # Errors
    /// [`InterpretError::MissingCapability`] where the device has no reconciler for processes;
    /// [`InterpretError::Invalid`] for one that no document could declare.
    fn declare_process(&mut self, process: ProcessSpec, pointer: &str) -> Result<(), InterpretError>;
}

/// The capability to have units of systemd.
pub trait SystemdUnits: Topology {
    /// Declares a unit under the name of the Score that is being interpreted. `pointer` leads from that
    /// Score's body to what the unit's name was taken from, and is empty for the body as a whole.
    ///
    /// # Errors
    /// [`InterpretError::MissingCapability`] where the device has no reconciler for units;
    /// [`InterpretError::Invalid`] for one that no document could declare.
    fn declare_systemd_unit(&mut self, unit: SystemdUnitSpec, pointer: &str) -> Result<(), InterpretError>;
}

/// The capability to run scripts to their end.
pub trait ShellJobs: Topology {
    /// Declares a job under the name of the Score that is being interpreted. `pointer` leads from
    /// that Score's body to what it was taken from, and is empty for the body as a whole.
    ///
    /// # Errors
    /// [`InterpretError::MissingCapability`] where the device has no reconciler for jobs;
    /// [`InterpretError::Invalid`] for one that no document could declare.
    fn declare_shell_job(&mut self, job: ShellJobSpec, pointer: &str) -> Result<(), InterpretError>;
}

/// A child Score's place in its parent.
#[derive(Debug, Clone, Default)]
pub struct Child<'a> {
    /// What is put behind the parent's name, with a hyphen between: the end of a DNS label. It must
    /// not depend on the order of children, so that another child renames nothing. Empty for the one
    /// part that has the parent's name itself.
    pub name: &'a str,
    /// JSON pointer from the parent's body to what the child was made from, for problems with it.
    pub pointer: &'a str,
    /// Names of resources that must be ready before anything of the child is acted on: of those that
    /// [`interpret`](Topology::interpret) returned for earlier children.
    pub depends_on: &'a [ResourceName],
    /// Names of resources whose change restarts whatever of the child can be restarted; of the same.
    pub restart_on: &'a [ResourceName],
}

/// What a topology may or may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// The name of its trait.
    pub name: &'static str,
    /// The kind of resource that it declares; a reconciler for it is what provides the capability.
    pub kind: ResourceKind,
}

/// The capability of the trait [`Containers`].
pub const CONTAINERS: Capability = Capability { name: "Containers", kind: ResourceKind::Container };

/// The capability of the trait [`Files`].
pub const FILES: Capability = Capability { name: "Files", kind: ResourceKind::File };

/// The capability of the trait [`Processes`].
pub const PROCESSES: Capability = Capability { name: "Processes", kind: ResourceKind::Process };

/// The capability of the trait [`SystemdUnits`].
pub const SYSTEMD_UNITS: Capability = Capability { name: "SystemdUnits", kind: ResourceKind::SystemdUnit };

/// The capability of the trait [`ShellJobs`].
pub const SHELL_JOBS: Capability = Capability { name: "ShellJobs", kind: ResourceKind::ShellJob };

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
