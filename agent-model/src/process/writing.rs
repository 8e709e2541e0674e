//! Writes the spec of a `Process`: as documents have it, and as its digest is taken of it.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{DEFAULT_STOP_TIMEOUT, ProcessSpec};
use crate::{
    Principal, TargetPath,
    quantity::duration_text,
    workload::{RestartPolicy, StopSignal},
    written::Written,
};

impl ProcessSpec {
    /// The spec as the value that its digest is taken of: defaults left out, and of each variable's
    /// value only its digest, because what two documents differ in is shown to people.
    pub(crate) fn canonical(&self) -> Value {
        self.written(self.env.canonical()).into()
    }

    /// The spec without what has its default, its environment as `env` shows it.
    pub(super) fn written(&self, env: Written) -> Written {
        let Self {
            command,
            env: _,
            workdir,
            user,
            group,
            restart,
            limits,
            probes,
            stop_signal,
            stop_timeout,
            log,
        } = self;
        Written::default()
            .with("command", command.clone())
            .with_filled("env", env)
            .with_some("workdir", workdir.as_ref().map(TargetPath::as_str))
            .with_some("user", user.as_ref().map(Principal::written))
            .with_some("group", group.as_ref().map(Principal::written))
            .with_other_than(RestartPolicy::default(), "restart", *restart, RestartPolicy::as_str)
            .with_filled("limits", limits.written())
            .with_filled("probes", probes.written())
            .with_other_than(StopSignal::default(), "stopSignal", *stop_signal, StopSignal::as_str)
            .with_other_than(DEFAULT_STOP_TIMEOUT, "stopTimeout", *stop_timeout, duration_text)
            .with_filled("log", log.written())
    }
}

/// Writes what [`ProcessSpec::read`] reads. Defaults are left out.
impl Serialize for ProcessSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Map::from(self.written(self.env.written())).serialize(serializer)
    }
}
