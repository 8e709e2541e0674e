//! Reads the spec of a `SystemdUnit` as documents of every format write it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{DropInName, MAX_DROP_INS, SystemdUnitSpec, UnitName, UnitState, UnitText};
use crate::{
    Problem, UnknownKeys,
    reader::{Field, Findings},
};

impl SystemdUnitSpec {
    /// Reads the spec; `None` when too much of it is wrong, which `findings` then holds.
    pub fn read(spec: Field<'_>, findings: &mut Findings) -> Option<Self> {
        spec.object(findings, |fields| {
            let unit: Option<UnitName> = fields.required("unit", Field::parsed);
            let content = fields.optional("content", text);
            let drop_ins = fields.optional("dropIns", drop_ins).unwrap_or_default();
            let enabled = fields.take("enabled");
            let state = fields.take("state");
            if let Some(unit) = unit.as_ref().filter(|unit| unit.is_template()) {
                for field in [&enabled, &state].into_iter().flatten() {
                    let message = format!(
                        "{:?} is a template, of which only instances are enabled and run: declare one as a unit of its own, \
                         for example with \"restartOn\" this one",
                        unit.as_str()
                    );
                    fields.findings.problem(&field.pointer, message);
                }
            }
            let enabled = enabled.and_then(|field| boolean(field, fields.findings));
            let state = state
                .and_then(|field| field.word("state", &UnitState::ALL, UnitState::as_str, fields.findings))
                .unwrap_or_default();
            Some(Self { unit: unit?, content, drop_ins, enabled, state })
        })
    }

    /// What is wrong with the spec, which was made by a program and may hold what no document can; pointers
    /// lead from the spec.
    pub fn problems(&self) -> Vec<Problem> {
        let written: Value = self.written(UnitText::as_str).into();
        let mut findings = Findings::new(UnknownKeys::AreProblems);
        Self::read(Field { value: &written, pointer: String::new() }, &mut findings);
        findings.into_parts().0
    }
}

fn text(field: Field<'_>, findings: &mut Findings) -> Option<UnitText> {
    let text = field.unsealed(findings)?;
    field.parse(text, findings)
}

fn boolean(field: Field<'_>, findings: &mut Findings) -> Option<bool> {
    match field.value {
        Value::Bool(given) => Some(*given),
        Value::String(_) => field.mistyped("true or false without quotes", findings),
        _ => field.mistyped("true or false", findings),
    }
}

fn drop_ins(field: Field<'_>, findings: &mut Findings) -> Option<BTreeMap<DropInName, UnitText>> {
    let pointer = field.pointer.clone();
    let mut drop_ins = BTreeMap::new();
    let mut given = 0;
    field.map(findings, |name, body, findings| {
        given += 1;
        let name = body.parse::<DropInName>(name, findings);
        let body = text(body, findings);
        drop_ins.extend(name.zip(body));
    })?;
    if given > MAX_DROP_INS {
        findings.problem(
            pointer,
            format!("{given} drop-ins are more than the {MAX_DROP_INS} that a unit may have"),
        );
    }
    Some(drop_ins)
}
