//! How a spec of any version is lowered.

use agent_model::{
    DesiredStateBuilder, Invalid, Lowered, ROLLBACK, SpecDocument, read_rollback,
    reader::{Field, Findings},
};

use crate::{v1_0, v1_1};

/// Reads the spec as the version has it that it is written against, and judges it as a whole.
pub(crate) fn lower(document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
    if document.spec.is_null() {
        return Err(Invalid::at("", "\"spec\" is missing"));
    }
    let written = document.schema_version;
    let mut findings = Findings::new(document.unknown_keys);
    let spec = Field { value: document.spec, pointer: "/spec".to_owned() };
    let read = spec.object(&mut findings, |fields| {
        let declarations =
            fields.required("resources", |list, findings| list.list(findings, v1_0::read_resource));
        let rollback = fields.optional_since(ROLLBACK, &v1_1::VERSION, written, read_rollback);
        Some((declarations.unwrap_or_default(), rollback))
    });
    let (problems, ignored) = findings.into_parts();
    let (declarations, rollback) = read.unwrap_or_default();
    let mut builder = DesiredStateBuilder::default();
    problems.into_iter().for_each(|problem| builder.problem(problem.pointer, problem.message));
    declarations.into_iter().for_each(|declaration| builder.declare(declaration));
    rollback.into_iter().for_each(|deadline| builder.roll_back_after(deadline));
    Ok(Lowered { state: builder.finish()?, ignored })
}
