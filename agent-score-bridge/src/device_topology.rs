//! The topology of this agent: every capability that its reconcilers provide.

use std::{collections::BTreeSet, sync::Arc};

use agent_model::{
    ContainerSpec, Declaration, DeviceFacts, FileSpec, ProcessSpec, ResourceKind, ResourceName, ResourceSpec,
    ShellJobSpec, SystemdUnitSpec, pointer_to,
};
use semver::Version;

use crate::{
    Child, InterpretError, Score, Topology,
    topology::{
        CONTAINERS, Capability, Containers, FILES, Files, PROCESSES, Processes, SHELL_JOBS, SYSTEMD_UNITS,
        ShellJobs, SystemdUnits,
    },
    usage::Usage,
};

/// Most Scores within one another, the outermost included: a deeper one most likely contains itself.
const MAX_DEPTH: usize = 8;

/// What is the same for all Scores of a document.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) facts: Arc<DeviceFacts>,
    /// The kinds of resource that there is a reconciler for.
    pub(crate) kinds: Arc<[ResourceKind]>,
}

/// The device as one Score of a document sees it, with all that was declared for that Score so far.
#[derive(Debug)]
pub struct DeviceTopology {
    device: Device,
    usage: Usage,
    /// How many Scores the current one lies within.
    depth: usize,
    current: Interpreting,
    declarations: Vec<Declaration>,
    /// The names of the declarations.
    names: BTreeSet<ResourceName>,
}

/// The Score that is being interpreted.
#[derive(Debug)]
struct Interpreting {
    score: &'static str,
    version: Version,
    name: ResourceName,
    depends_on: Vec<ResourceName>,
    restart_on: Vec<ResourceName>,
    place: Place,
}

/// Where a Score stands in the document.
#[derive(Debug, Clone)]
struct Place {
    /// JSON pointer to the entry that it belongs to.
    entry: String,
    /// JSON pointer to its body or, for a child, to what that was made from.
    body: String,
    is_child: bool,
}

impl Place {
    /// Where in the document a pointer from the body leads. A child's body stands nowhere in it.
    fn of(&self, pointer: &str) -> String {
        if self.is_child { self.body.clone() } else { format!("{}{pointer}", self.body) }
    }
}

/// Interprets a Score that stands in the document itself, at the pointer `entry`, and returns what
/// was declared for it.
pub(crate) fn interpret_entry<S: Score<DeviceTopology>>(
    device: &Device,
    usage: &mut Usage,
    entry: &str,
    name: &ResourceName,
    score: &S,
) -> Result<Vec<Declaration>, InterpretError> {
    let place = Place { entry: entry.to_owned(), body: pointer_to(entry, "with"), is_child: false };
    let mut topology = DeviceTopology {
        device: device.clone(),
        usage: *usage,
        depth: 1,
        current: Interpreting {
            score: S::NAME,
            version: S::VERSION,
            name: name.clone(),
            depends_on: Vec::new(),
            restart_on: Vec::new(),
            place,
        },
        declarations: Vec::new(),
        names: BTreeSet::new(),
    };
    let outcome = score.create_interpret().execute(&mut topology);
    *usage = topology.usage;
    outcome.map(|()| topology.declarations)
}

impl Topology for DeviceTopology {
    fn facts(&self) -> &DeviceFacts {
        &self.device.facts
    }

    fn remaining_work(&self) -> u64 {
        self.usage.remaining_work()
    }

    fn spend(&mut self, work: u64) -> Result<(), InterpretError> {
        self.usage.count_work(work)
    }

    fn interpret<S: Score<Self>>(
        &mut self,
        child: &Child<'_>,
        score: &S,
    ) -> Result<Vec<ResourceName>, InterpretError> {
        let first = self.declarations.len();
        match self.interpret_within(child, score) {
            Ok(()) => Ok(self.declarations[first..].iter().map(|declared| declared.name.clone()).collect()),
            Err(error) => {
                // Nothing of it stays, in case the parent can do without.
                for declaration in self.declarations.drain(first..) {
                    self.names.remove(&declaration.name);
                }
                Err(error.of_child(child.pointer))
            }
        }
    }
}

impl DeviceTopology {
    /// Interprets a child; when that fails, what was declared for it is still there.
    fn interpret_within<S: Score<Self>>(
        &mut self,
        child: &Child<'_>,
        score: &S,
    ) -> Result<(), InterpretError> {
        if self.depth == MAX_DEPTH {
            return Err(InterpretError::TooDeep { score: S::NAME, limit: MAX_DEPTH });
        }
        self.usage.count_child()?;
        for name in child.depends_on.iter().chain(child.restart_on) {
            if !self.names.contains(name) {
                let message = format!("it names {:?}, which was not declared before it", name.as_str());
                return Err(InterpretError::invalid("", message));
            }
        }
        let parent = &self.current;
        let copied = [&parent.depends_on, child.depends_on, &parent.restart_on, child.restart_on];
        self.usage.count_work(copied.iter().map(|names| names.len() as u64).sum())?;
        let name = match child.name {
            "" => parent.name.to_string(),
            part => format!("{}-{part}", parent.name),
        };
        let current = Interpreting {
            score: S::NAME,
            version: S::VERSION,
            name: name.parse().map_err(InterpretError::Unnameable)?,
            depends_on: [&parent.depends_on, child.depends_on].concat(),
            restart_on: [&parent.restart_on, child.restart_on].concat(),
            place: Place { body: parent.place.of(child.pointer), is_child: true, ..parent.place.clone() },
        };
        let parent = std::mem::replace(&mut self.current, current);
        self.depth += 1;
        let outcome = score.create_interpret().execute(self);
        self.depth -= 1;
        self.current = parent;
        outcome
    }

    fn declare(
        &mut self,
        capability: Capability,
        spec: ResourceSpec,
        pointer: &str,
    ) -> Result<(), InterpretError> {
        let current = &self.current;
        if !self.device.kinds.contains(&capability.kind) {
            return Err(InterpretError::MissingCapability {
                score: current.score,
                version: current.version.clone(),
                capability,
            });
        }
        self.usage.count_references(current.depends_on.len() + current.restart_on.len())?;
        if !self.names.insert(current.name.clone()) {
            let message = format!(
                "{:?} is already declared: each further resource needs a child Score with a name of its own",
                current.name.as_str()
            );
            return Err(InterpretError::invalid(pointer, message));
        }
        self.declarations.push(Declaration {
            pointer: current.place.entry.clone(),
            claim_pointer: current.place.of(pointer),
            spec_pointer: None,
            name: current.name.clone(),
            depends_on: current.depends_on.clone(),
            restart_on: current.restart_on.clone(),
            spec: Some(spec),
        });
        Ok(())
    }
}

impl Containers for DeviceTopology {
    fn declare_container(&mut self, container: ContainerSpec, pointer: &str) -> Result<(), InterpretError> {
        self.usage.count_content(container.argument_bytes())?;
        if let Some(problem) = container.problems().first() {
            return Err(InterpretError::invalid(
                pointer,
                format!("no container can be like this: {problem}"),
            ));
        }
        self.declare(CONTAINERS, ResourceSpec::Container(Arc::new(container)), pointer)
    }
}

impl Files for DeviceTopology {
    fn declare_file(&mut self, file: FileSpec, pointer: &str) -> Result<(), InterpretError> {
        self.usage.count_content(file.content_len())?;
        if let Some(problem) = file.problems().first() {
            return Err(InterpretError::invalid(pointer, format!("no file can be like this: {problem}")));
        }
        self.declare(FILES, ResourceSpec::File(Arc::new(file)), pointer)
    }
}

impl Processes for DeviceTopology {
    fn declare_process(&mut self, process: ProcessSpec, pointer: &str) -> Result<(), InterpretError> {
        self.usage.count_content(process.argument_bytes())?;
        if let Some(problem) = process.problems().first() {
            return Err(InterpretError::invalid(pointer, format!("no process can be like this: {problem}")));
        }
        self.declare(PROCESSES, ResourceSpec::Process(Arc::new(process)), pointer)
    }
}

impl SystemdUnits for DeviceTopology {
    fn declare_systemd_unit(&mut self, unit: SystemdUnitSpec, pointer: &str) -> Result<(), InterpretError> {
        self.usage.count_content(unit.text_bytes())?;
        if let Some(problem) = unit.problems().first() {
            return Err(InterpretError::invalid(pointer, format!("no unit can be like this: {problem}")));
        }
        self.declare(SYSTEMD_UNITS, ResourceSpec::SystemdUnit(Arc::new(unit)), pointer)
    }
}

impl ShellJobs for DeviceTopology {
    fn declare_shell_job(&mut self, job: ShellJobSpec, pointer: &str) -> Result<(), InterpretError> {
        self.usage.count_content(job.content_bytes())?;
        if let Some(problem) = job.problems().first() {
            return Err(InterpretError::invalid(pointer, format!("no job can be like this: {problem}")));
        }
        self.declare(SHELL_JOBS, ResourceSpec::ShellJob(Arc::new(job)), pointer)
    }
}
