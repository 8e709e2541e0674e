//! Reads the spec of a `Process` as documents of every format write it.

use super::{DEFAULT_STOP_TIMEOUT, ProcessSpec};
use crate::{
    Principal, TargetPath, quantity,
    reader::{Field, Findings, ObjectReader},
    workload::{self, Environment, Limits, LogBounds, Probe, ProbeAction, Probes, RestartPolicy, StopSignal},
};

/// Most bytes that a command and the environment take together, the closing NUL of each word and
/// variable included. No single argument of Linux can be longer (`MAX_ARG_STRLEN`), and all together fit
/// wherever the stack may have half a megabyte.
const MAX_ARGUMENT_BYTES: usize = 128 << 10;

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
            refuse_too_long(command.as_deref().unwrap_or_default(), &probes, &env, fields);
            Some(Self {
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
            })
        })
    }
}

/// A folder; `/` is the default.
fn workdir(field: Field<'_>, findings: &mut Findings) -> Option<Option<TargetPath>> {
    match field.value.as_str() {
        Some("/") => Some(None),
        _ => field.parsed(findings).map(Some),
    }
}

/// Notes each command, of a probe too, that could not be executed for its length.
fn refuse_too_long(
    command: &[String],
    probes: &Probes,
    env: &Environment,
    fields: &mut ObjectReader<'_, '_>,
) {
    let Probes { startup, readiness, liveness } = probes;
    let of_probes = [("startup", startup), ("readiness", readiness), ("liveness", liveness)];
    let of_probes = of_probes.into_iter().filter_map(|(key, probe)| match probe {
        Some(Probe { action: ProbeAction::Exec { command }, .. }) => {
            Some((format!("/probes/{key}/exec/command"), command.as_slice()))
        }
        _ => None,
    });
    let variables: usize = env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    for (place, command) in [("/command".to_owned(), command)].into_iter().chain(of_probes) {
        let bytes = variables + command.iter().map(|word| word.len() + 1).sum::<usize>();
        if bytes > MAX_ARGUMENT_BYTES {
            let message = format!(
                "with the environment it has {bytes} bytes, more than the {MAX_ARGUMENT_BYTES} that a program can be \
                 started with; put them in a file"
            );
            fields.findings.problem(format!("{}{place}", fields.pointer), message);
        }
    }
}
