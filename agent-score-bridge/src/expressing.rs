//! From a desired state back to Scores: how a fleet gets from another format to this one.

use std::time::Duration;

use agent_model::{DesiredState, Resource, ResourceSpec, written_deadline};
use serde_json::Value;

use crate::{
    Container, File, Process, ShellJob, SystemdUnit, WireForm,
    v0_1_0::Entry,
    v0_1_1::{OnFailure, Rollback, Spec},
};

/// The spec of a `Score` document that is lowered to this very state, with one Score for each
/// resource.
///
/// # Errors
/// When a body cannot be written as JSON, which no Score of this crate brings about.
pub fn express(state: &DesiredState) -> serde_json::Result<Spec> {
    Ok(Spec {
        scores: state.resources().iter().map(entry).collect::<Result<_, _>>()?,
        rollback: state.rollback_deadline().map(rollback),
    })
}

fn rollback(deadline: Duration) -> Rollback {
    Rollback { on_failure: Some(OnFailure::Previous), deadline: Some(written_deadline(deadline)) }
}

fn entry(resource: &Resource) -> serde_json::Result<Entry> {
    let (score, version, with) = match &resource.spec {
        ResourceSpec::Container(container) => described(&Container((**container).clone()))?,
        ResourceSpec::File(file) => described(&File((**file).clone()))?,
        ResourceSpec::Process(process) => described(&Process((**process).clone()))?,
        ResourceSpec::SystemdUnit(unit) => described(&SystemdUnit((**unit).clone()))?,
        ResourceSpec::ShellJob(job) => described(&ShellJob((**job).clone()))?,
    };
    Ok(Entry {
        score,
        version,
        name: resource.name.clone(),
        depends_on: resource.depends_on.clone(),
        restart_on: resource.restart_on.clone(),
        with,
    })
}

/// A Score's name, its version, and its body.
fn described<S: WireForm>(score: &S) -> serde_json::Result<(String, String, Value)> {
    Ok((S::NAME.to_owned(), S::VERSION.to_string(), serde_json::to_value(score)?))
}
