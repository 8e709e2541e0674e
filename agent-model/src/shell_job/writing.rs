//! Writes the spec of a `ShellJob`: as documents have it, and as its digest is taken of it.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{DEFAULT_INTERPRETER, DEFAULT_JOB_TIMEOUT, ShellJobSpec};
use crate::{Principal, TargetPath, quantity::duration_text, written::Written};

impl ShellJobSpec {
    /// The spec as the value that its digest is taken of: defaults left out, and of each variable's value only its
    /// digest, because what two documents differ in is shown to people.
    pub(crate) fn canonical(&self) -> Value {
        self.written(self.env.canonical()).into()
    }

    /// The spec without what has its default, its environment as `env` shows it.
    pub(super) fn written(&self, env: Written) -> Written {
        let Self {
            script,
            interpreter,
            run_id,
            unless,
            creates,
            timeout,
            retry,
            env: _,
            user,
            network,
            writable_paths,
            limits,
        } = self;
        let paths: Vec<&str> = writable_paths.iter().map(TargetPath::as_str).collect();
        Written::default()
            .with("script", script.as_str())
            .with_other_than(
                DEFAULT_INTERPRETER.map(str::to_owned).into(),
                "interpreter",
                interpreter.clone(),
                |it| it,
            )
            .with_other_than("", "runId", run_id.as_str(), |it| it)
            .with_some("unless", unless.as_deref())
            .with_some("creates", creates.as_ref().map(TargetPath::as_str))
            .with_other_than(DEFAULT_JOB_TIMEOUT, "timeout", *timeout, duration_text)
            .with_other_than(0, "retry", *retry, |it| it)
            .with_filled("env", env)
            .with_some("user", user.as_ref().map(Principal::written))
            .with_other_than(false, "network", *network, |it| it)
            .with_other_than(Vec::new(), "writablePaths", paths, |it| it)
            .with_filled("limits", limits.written())
    }
}

/// Writes what [`ShellJobSpec::read`] reads. Defaults are left out.
impl Serialize for ShellJobSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Map::from(self.written(self.env.written())).serialize(serializer)
    }
}
