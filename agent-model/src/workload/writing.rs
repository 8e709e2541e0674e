//! Writes what workloads have in common. Defaults are left out.

use std::time::Duration;

use super::{HttpScheme, Limits, LogBounds, Probe, ProbeAction, Probes};
use crate::{
    quantity::{cpus_text, duration_text, size_text},
    written::Written,
};

impl Limits {
    pub(crate) fn written(&self) -> Written {
        let Self { memory, cpu_millis, pids, open_files } = self;
        Written::default()
            .with_some("memory", memory.map(size_text))
            .with_some("cpus", cpu_millis.map(cpus_text))
            .with_some("pids", *pids)
            .with_some("openFiles", *open_files)
    }
}

impl LogBounds {
    pub(crate) fn written(&self) -> Written {
        let Self { max_size, keep } = self;
        let default = Self::default();
        Written::default().with_other_than(default.max_size, "maxSize", *max_size, size_text).with_other_than(
            default.keep,
            "keep",
            *keep,
            |keep| keep,
        )
    }
}

impl Probes {
    pub(crate) fn written(&self) -> Written {
        let Self { startup, readiness, liveness } = self;
        Written::default()
            .with_some("startup", startup.as_ref().map(Probe::written))
            .with_some("readiness", readiness.as_ref().map(Probe::written))
            .with_some("liveness", liveness.as_ref().map(Probe::written))
    }
}

impl Probe {
    fn written(&self) -> Written {
        let Self { action, interval, timeout, failure_threshold, start_period } = self;
        let (kind, asked) = action.written();
        Written::default()
            .with(kind, asked)
            .with_other_than(Self::DEFAULT_INTERVAL, "interval", *interval, duration_text)
            .with_other_than(Self::DEFAULT_TIMEOUT, "timeout", *timeout, duration_text)
            .with_other_than(
                Self::DEFAULT_FAILURE_THRESHOLD,
                "failureThreshold",
                *failure_threshold,
                |threshold| threshold,
            )
            .with_other_than(Duration::ZERO, "startPeriod", *start_period, duration_text)
    }
}

impl ProbeAction {
    /// The key under which the action stands, and what stands there.
    fn written(&self) -> (&'static str, Written) {
        let object = Written::default();
        match self {
            Self::Exec { command } => ("exec", object.with("command", command.clone())),
            Self::Http { port, path, scheme } => {
                let object = object.with("port", *port).with_other_than(
                    Self::DEFAULT_PATH,
                    "path",
                    path,
                    str::to_owned,
                );
                let object =
                    object.with_other_than(HttpScheme::default(), "scheme", *scheme, HttpScheme::as_str);
                ("http", object)
            }
            Self::Tcp { port } => ("tcp", object.with("port", *port)),
        }
    }
}
