//! `AgentManifest` 1.0: the wire types, and how a spec is lowered.

mod resource;
mod wire;

use agent_model::{
    DesiredStateBuilder, Invalid, Lowered, SpecDocument,
    reader::{Field, Findings},
};

pub use wire::{
    AgentManifest, ApiVersion, Container, ContainerLimits, ContainerUser, Cpus, Entry, Exec, File, Http,
    IdOrName, Kind, Limits, Log, Metadata, Mount, MountType, Port, Probe, Probes, Process, Protocol,
    PullPolicy, ResourceEntry, Restart, Scheme, Sealed, SealedTo, ShellJob, Size, Spec, SystemdUnit, Tcp,
    Text, UnitState, Variable,
};

/// Reads the spec and judges it as a whole.
pub(crate) fn lower(document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
    if document.spec.is_null() {
        return Err(Invalid::at("", "\"spec\" is missing"));
    }
    let mut findings = Findings::new(document.unknown_keys);
    let spec = Field { value: document.spec, pointer: "/spec".to_owned() };
    let declarations = spec.object(&mut findings, |fields| {
        fields.required("resources", |list, findings| list.list(findings, resource::read))
    });
    let (problems, ignored) = findings.into_parts();
    let mut builder = DesiredStateBuilder::default();
    problems.into_iter().for_each(|problem| builder.problem(problem.pointer, problem.message));
    declarations.into_iter().flatten().for_each(|declaration| builder.declare(declaration));
    Ok(Lowered { state: builder.finish()?, ignored })
}
