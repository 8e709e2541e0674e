//! Reads the spec of a `ShellJob` as documents of every format write it.

use std::{ops::RangeInclusive, time::Duration};

use serde_json::Value;

use super::{DEFAULT_JOB_TIMEOUT, ShellJobSpec};
use crate::{
    Principal, Problem, TargetPath, UnknownKeys, quantity,
    reader::{Field, Findings},
    workload::{self, Environment, Limits},
};

/// A job that takes longer is a process.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const RETRY: RangeInclusive<u64> = 0..=100;
/// Longest `runId`, in bytes: it stands in the status and in each line about the job.
const MAX_RUN_ID: usize = 128;
/// Most folders and files that a job can write in.
const MAX_WRITABLE_PATHS: usize = 64;

impl ShellJobSpec {
    /// Reads the spec; `None` when too much of it is wrong, which `findings` then holds.
    pub fn read(spec: Field<'_>, findings: &mut Findings) -> Option<Self> {
        spec.object(findings, |fields| {
            let script = fields.required("script", script);
            let interpreter = fields.optional("interpreter", workload::command);
            let run_id = fields.optional("runId", run_id).unwrap_or_default();
            let unless = fields.optional("unless", self::script);
            let creates = fields.optional("creates", Field::parsed);
            let timeout =
                fields.optional("timeout", quantity::duration(TIMEOUT)).unwrap_or(DEFAULT_JOB_TIMEOUT);
            let retry = fields.optional("retry", quantity::count(RETRY)).unwrap_or_default();
            let env = fields.optional("env", Environment::read).unwrap_or_default();
            let user = fields.optional("user", Principal::read);
            let network = fields.optional("network", truth).unwrap_or_default();
            let writable_paths = fields.optional("writablePaths", paths).unwrap_or_default();
            let limits = fields.optional("limits", Limits::read).unwrap_or_default();
            let default = Self::new(script?);
            let spec = Self {
                interpreter: interpreter.unwrap_or(default.interpreter),
                script: default.script,
                run_id,
                unless,
                creates,
                timeout,
                retry,
                env,
                user,
                network,
                writable_paths,
                limits,
            };
            let too_long = spec.too_long(&fields.pointer);
            let is_sound = too_long.is_none();
            fields.findings.extend(too_long.into_iter().collect());
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

fn script(field: Field<'_>, findings: &mut Findings) -> Option<String> {
    let text = field.text(findings)?;
    let problem = if text.trim().is_empty() {
        "it is empty: there is nothing to run"
    } else if text.contains('\0') {
        "it has a NUL character, at which a shell would stop reading"
    } else {
        return Some(text.to_owned());
    };
    findings.problem(field.pointer, problem);
    None
}

fn run_id(field: Field<'_>, findings: &mut Findings) -> Option<String> {
    if field.value.is_number() {
        findings.problem(field.pointer, "expected a string, found a number: put it in quotes");
        return None;
    }
    let text = field.text(findings)?;
    let problem = if text.len() > MAX_RUN_ID {
        format!("{} bytes are more than the {MAX_RUN_ID} that it may have", text.len())
    } else if text.chars().any(char::is_control) {
        "it must not have control characters".to_owned()
    } else {
        return Some(text.to_owned());
    };
    findings.problem(field.pointer, problem);
    None
}

fn truth(field: Field<'_>, findings: &mut Findings) -> Option<bool> {
    match field.value.as_bool() {
        Some(truth) => Some(truth),
        None => field.mistyped("true or false", findings),
    }
}

/// Each once, and none within another: what is written there is written there in either case, and two mounts of the
/// same thing say it twice.
fn paths(field: Field<'_>, findings: &mut Findings) -> Option<Vec<TargetPath>> {
    let pointer = field.pointer.clone();
    let paths = field.list(findings, Field::parsed::<TargetPath>)?;
    if paths.len() > MAX_WRITABLE_PATHS {
        let message = format!("{} are more than the {MAX_WRITABLE_PATHS} that a job may have", paths.len());
        findings.problem(pointer, message);
        return None;
    }
    for (place, path) in paths.iter().enumerate() {
        let before = paths[..place].iter().find(|other| *other == path);
        let around = paths.iter().find(|other| path.is_below(other));
        if let Some(other) = before.or(around) {
            findings.problem(
                format!("{pointer}/{place}"),
                format!("it is covered by {other} already: leave it out"),
            );
        }
    }
    Some(paths)
}
