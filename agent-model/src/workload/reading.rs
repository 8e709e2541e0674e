//! Reads what workloads have in common.

use std::{ops::RangeInclusive, time::Duration};

use serde_json::Value;

use super::{
    Environment, HttpScheme, Limits, LogBounds, Probe, ProbeAction, Probes, RestartPolicy, StopSignal,
};
use crate::{
    json_type, quantity,
    reader::{Field, Findings, ObjectReader, shown},
};

/// Most words of a command.
const MAX_WORDS: usize = 1024;
/// Longest path of an HTTP probe, in bytes.
const MAX_PATH: usize = 2048;

/// Below, hardly a program starts; above, there is no device.
const MEMORY: RangeInclusive<u64> = 1 << 20..=1 << 60;
/// From the least that Linux can account for to its most processors.
const CPU_MILLIS: RangeInclusive<u64> = 10..=8192 * 1000;
/// To the most that Linux can have (`PID_MAX_LIMIT`).
const PIDS: RangeInclusive<u64> = 1..=1 << 22;
/// From what a small program cannot do without to what systemd raises `fs.nr_open` to.
const OPEN_FILES: RangeInclusive<u64> = 16..=1 << 30;

const LOG_SIZE: RangeInclusive<u64> = 4 << 10..=1 << 30;
const LOG_KEEP: RangeInclusive<u64> = 0..=100;

const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
const START_PERIOD: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
const FAILURE_THRESHOLD: RangeInclusive<u64> = 1..=1000;

/// Those that something can be reached at.
pub(crate) const PORT: RangeInclusive<u64> = 1..=u16::MAX as u64;

/// How long a workload may be given to stop.
pub(crate) const STOP_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// Reads a program and its arguments.
pub(crate) fn command(field: Field<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let problem = match field.value.as_array().map(Vec::as_slice) {
        Some([]) => "it is empty: name at least the program".to_owned(),
        Some([Value::String(program), ..]) if program.is_empty() => {
            "its first word is empty: name the program".to_owned()
        }
        _ => return words(field, findings),
    };
    findings.problem(field.pointer, problem);
    None
}

/// Reads words that a program is started with; there may be none.
pub(crate) fn words(field: Field<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    match field.value.as_array() {
        Some(words) if words.len() > MAX_WORDS => {
            let message =
                format!("{} words are more than the {MAX_WORDS} that a command may have", words.len());
            findings.problem(field.pointer, message);
            None
        }
        _ => field.list(findings, argument),
    }
}

fn argument(field: Field<'_>, findings: &mut Findings) -> Option<String> {
    refuse_unquoted(&field, findings)?;
    let text = field.text(findings)?;
    if text.contains('\0') {
        findings.problem(field.pointer, "it has a NUL character, which no argument can have");
        return None;
    }
    Some(text.to_owned())
}

/// Refuses what a program would see, but as a string of which nobody knows the spelling: `1.10` would
/// reach it as `1.1`, and `yes` as `true`.
fn refuse_unquoted(field: &Field<'_>, findings: &mut Findings) -> Option<()> {
    if field.value.is_number() || field.value.is_boolean() {
        let found = json_type(field.value);
        let message =
            format!("expected a string, found {found}: put it in quotes, as the program is to see it");
        findings.problem(&field.pointer, message);
        return None;
    }
    Some(())
}

impl Environment {
    pub(crate) fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        let mut env = Self::default();
        field.map(findings, |name, value, findings| {
            let pointer = value.pointer.clone();
            if let Some(value) = value.maybe_sealed(findings, variable)
                && let Err(invalid) = env.insert(name, value)
            {
                findings.problem(pointer, invalid.to_string());
            }
        })?;
        Some(env)
    }
}

fn variable(field: Field<'_>, findings: &mut Findings) -> Option<String> {
    if field.value.is_null() {
        let message =
            "expected a string, found null: give \"\" for an empty value, or leave the variable out";
        findings.problem(&field.pointer, message);
        return None;
    }
    refuse_unquoted(&field, findings)?;
    field.text(findings).map(str::to_owned)
}

impl RestartPolicy {
    pub(crate) fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        field.word("restart policy", &Self::ALL, Self::as_str, findings)
    }
}

impl StopSignal {
    pub(crate) fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        field.parsed(findings)
    }
}

impl Limits {
    pub(crate) fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        field.object(findings, |fields| {
            let limits = Self::read_shared(fields);
            Some(Self { open_files: fields.optional("openFiles", quantity::count(OPEN_FILES)), ..limits })
        })
    }

    /// Reads the limits of what is no process of the agent's own, whose open files are its own business.
    pub(crate) fn read_without_open_files(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        field.object(findings, |fields| Some(Self::read_shared(fields)))
    }

    fn read_shared(fields: &mut ObjectReader<'_, '_>) -> Self {
        Self {
            memory: fields.optional("memory", quantity::size(MEMORY)),
            cpu_millis: fields.optional("cpus", quantity::cpus(CPU_MILLIS)),
            pids: fields.optional("pids", quantity::count(PIDS)),
            open_files: None,
        }
    }
}

impl LogBounds {
    pub(crate) fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        let default = Self::default();
        field.object(findings, |fields| {
            let max_size = fields.optional("maxSize", quantity::size(LOG_SIZE));
            let keep = fields.optional("keep", quantity::count(LOG_KEEP));
            Some(Self { max_size: max_size.unwrap_or(default.max_size), keep: keep.unwrap_or(default.keep) })
        })
    }
}

impl Probes {
    pub(crate) fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        field.object(findings, |fields| {
            Some(Self {
                startup: fields.optional("startup", Probe::read),
                readiness: fields.optional("readiness", Probe::read),
                liveness: fields.optional("liveness", Probe::read),
            })
        })
    }
}

impl Probe {
    fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        field.object(findings, |fields| {
            let exec = fields.take("exec");
            let http = fields.take("http");
            let tcp = fields.take("tcp");
            let given = [("exec", &exec), ("http", &http), ("tcp", &tcp)];
            let given: Vec<&str> =
                given.iter().filter(|(_, field)| field.is_some()).map(|(key, _)| *key).collect();
            match given[..] {
                [_] => {}
                [] => {
                    fields
                        .findings
                        .problem(&fields.pointer, "one of \"exec\", \"http\" and \"tcp\" is missing");
                }
                _ => {
                    let message = format!("{} exclude each other: keep one of them", quoted(&given));
                    fields.findings.problem(&fields.pointer, message);
                }
            }
            let exec = exec.and_then(|field| exec_action(field, fields.findings));
            let http = http.and_then(|field| http_action(field, fields.findings));
            let tcp = tcp.and_then(|field| tcp_action(field, fields.findings));
            let interval = fields.optional("interval", quantity::duration(INTERVAL));
            let timeout = fields.optional("timeout", quantity::duration(TIMEOUT));
            let failure_threshold = fields.optional("failureThreshold", quantity::count(FAILURE_THRESHOLD));
            let start_period = fields.optional("startPeriod", quantity::duration(START_PERIOD));
            let default = Self::new(exec.or(http).or(tcp)?);
            Some(Self {
                interval: interval.unwrap_or(default.interval),
                timeout: timeout.unwrap_or(default.timeout),
                failure_threshold: failure_threshold.unwrap_or(default.failure_threshold),
                start_period: start_period.unwrap_or(default.start_period),
                ..default
            })
        })
    }
}

/// `"exec" and "tcp"`, or all three with a comma.
fn quoted(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(" and ")
}

fn exec_action(field: Field<'_>, findings: &mut Findings) -> Option<ProbeAction> {
    field.object(findings, |fields| {
        let command = fields.required("command", command)?;
        Some(ProbeAction::Exec { command })
    })
}

fn http_action(field: Field<'_>, findings: &mut Findings) -> Option<ProbeAction> {
    field.object(findings, |fields| {
        let port = fields.required("port", quantity::count(PORT));
        let path = fields.optional("path", http_path);
        let scheme = fields.optional("scheme", |field, findings| {
            field.word("scheme", &HttpScheme::ALL, HttpScheme::as_str, findings)
        });
        Some(ProbeAction::Http {
            port: port?,
            path: path.unwrap_or_else(|| ProbeAction::DEFAULT_PATH.to_owned()),
            scheme: scheme.unwrap_or_default(),
        })
    })
}

fn tcp_action(field: Field<'_>, findings: &mut Findings) -> Option<ProbeAction> {
    field.object(findings, |fields| {
        let port = fields.required("port", quantity::count(PORT))?;
        Some(ProbeAction::Tcp { port })
    })
}

fn http_path(field: Field<'_>, findings: &mut Findings) -> Option<String> {
    let text = field.text(findings)?;
    let problem = if !text.starts_with('/') {
        "it must begin with /"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "it can only have visible ASCII characters; write others as their bytes, each as % and two hex digits"
    } else if text.len() > MAX_PATH {
        "it must not be longer than 2048 bytes"
    } else {
        return Some(text.to_owned());
    };
    findings.problem(field.pointer, format!("{:?} is no path to ask for: {problem}", shown(text)));
    None
}
