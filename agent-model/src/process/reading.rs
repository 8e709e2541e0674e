//! Reads the spec of a `Process` as documents of every format write it.

use serde_json::Value;

use super::{DEFAULT_STOP_TIMEOUT, ProcessSpec};
use crate::{
    Principal, Problem, TargetPath, UnknownKeys, quantity,
    reader::{Field, Findings},
    workload::{self, Environment, Limits, LogBounds, Probes, RestartPolicy, StopSignal},
};

impl ProcessSpec {
    /// Reads the spec; `None` when too much of it is wrong, which `findings` then holds.
    pub fn read(spec: Field<'_>, findings: &mut Findings) -> Option<Self> {
        spec.object(findings, |fields| {
            let command = fields.required("command", workload::command);
            let env = fields.optional("env", Environment::read).unwrap_or_default();
            let workdir = fields.optional("workdir", workdir).flatten();
            let user = fields.optional("user", Principal::read);
            let group = fields.optional("group", Principal::read);
            let restart = fields.optional("restart", RestartPolicy::read).unwrap_or_default();
            let limits = fields.optional("limits", Limits::read).unwrap_or_default();
            let probes = fields.optional("probes", Probes::read).unwrap_or_default();
            let stop_signal = fields.optional("stopSignal", StopSignal::read).unwrap_or_default();
            let stop_timeout = fields
                .optional("stopTimeout", quantity::duration(workload::STOP_TIMEOUT))
                .unwrap_or(DEFAULT_STOP_TIMEOUT);
            let log = fields.optional("log", LogBounds::read).unwrap_or_default();
            let spec = Self {
                command: command?,
                env,
                workdir,
                user,
                group,
                restart,
                limits,
                probes,
                stop_signal,
                stop_timeout,
                log,
            };
            let too_long = spec.commands().too_long(&fields.pointer);
            let is_sound = too_long.is_empty();
            fields.findings.extend(too_long);
            is_sound.then_some(spec)
        })
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

/// A folder; `/` is the default.
fn workdir(field: Field<'_>, findings: &mut Findings) -> Option<Option<TargetPath>> {
    match field.value.as_str() {
        Some("/") => Some(None),
        _ => field.parsed(findings).map(Some),
    }
}
