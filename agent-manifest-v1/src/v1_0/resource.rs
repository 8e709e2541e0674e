//! Reads one entry of `spec.resources`.

use std::sync::Arc;

use agent_model::{
    ContainerSpec, Declaration, FileSpec, ProcessSpec, ResourceKind, ResourceName, ResourceSpec,
    ShellJobSpec, Suggestions, SystemdUnitSpec, pointer_to,
    reader::{Field, Findings, shown},
};

/// The kinds that a document of this version may declare, whatever others there are by now.
const KINDS: [ResourceKind; 5] = [
    ResourceKind::Container,
    ResourceKind::File,
    ResourceKind::Process,
    ResourceKind::ShellJob,
    ResourceKind::SystemdUnit,
];

/// Without a name there is no declaration, since nothing could refer to it; its fields are read
/// all the same, for their problems.
pub(crate) fn read(entry: Field<'_>, findings: &mut Findings) -> Option<Declaration> {
    entry.object(findings, |fields| {
        let name = fields.required("name", Field::parsed);
        let kind = fields.required("kind", kind);
        let depends_on = fields.optional("dependsOn", names).unwrap_or_default();
        let restart_on = fields.optional("restartOn", names).unwrap_or_default();
        let spec = match kind {
            Some(ResourceKind::Container) => {
                fields.required("spec", ContainerSpec::read).map(Arc::new).map(ResourceSpec::Container)
            }
            Some(ResourceKind::File) => {
                fields.required("spec", FileSpec::read).map(Arc::new).map(ResourceSpec::File)
            }
            Some(ResourceKind::Process) => {
                fields.required("spec", ProcessSpec::read).map(Arc::new).map(ResourceSpec::Process)
            }
            Some(ResourceKind::ShellJob) => {
                fields.required("spec", ShellJobSpec::read).map(Arc::new).map(ResourceSpec::ShellJob)
            }
            Some(ResourceKind::SystemdUnit) => {
                fields.required("spec", SystemdUnitSpec::read).map(Arc::new).map(ResourceSpec::SystemdUnit)
            }
            None => fields.required("spec", |_, _| None),
        };
        let pointer = fields.pointer.clone();
        let claim_pointer = match kind {
            Some(ResourceKind::File) | None => pointer_to(&pointer_to(&pointer, "spec"), "path"),
            Some(ResourceKind::Container | ResourceKind::Process | ResourceKind::ShellJob) => {
                pointer_to(&pointer, "name")
            }
            Some(ResourceKind::SystemdUnit) => pointer_to(&pointer_to(&pointer, "spec"), "unit"),
        };
        let spec_pointer = Some(pointer_to(&pointer, "spec"));
        Some(Declaration { pointer, claim_pointer, spec_pointer, name: name?, depends_on, restart_on, spec })
    })
}

fn kind(field: Field<'_>, findings: &mut Findings) -> Option<ResourceKind> {
    let text = field.text(findings)?;
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == text);
    if kind.is_none() {
        let given = shown(text);
        let kinds = KINDS.map(ResourceKind::as_str);
        let hint = Suggestions::default().hint(&given, kinds);
        let message = format!("unknown kind {given:?}; this version has: {}{hint}", kinds.join(", "));
        findings.problem(field.pointer, message);
    }
    kind
}

fn names(field: Field<'_>, findings: &mut Findings) -> Option<Vec<ResourceName>> {
    field.list(findings, Field::parsed)
}
