//! Scores as a manifest format: the Score–Topology–Interpret pattern in a form that can be sent.
//!
//! A [`Score`] declares what is wanted. A [`Topology`] is a device as a set of capabilities, with
//! its facts. An [`Interpret`], made by a Score for a topology, declares resources on it: it acts
//! on nothing, so that a Score is lowered to the same neutral desired state as any other format.
//!
//! ```text
//! spec.scores ──▶ ScoreRegistry ──▶ Score ──▶ Interpret ──▶ Topology ──▶ DesiredState
//!                 name and version            ├▶ child Score ──▶ …
//! ```
//!
//! To write a Score: `docs/writing-a-score.md`. Why interpreting only declares: ADR 026.

mod device_topology;
mod entries;
mod expressing;
mod interpret_error;
mod lowering;
mod references;
mod registry;
mod requirement;
mod score;
mod score_id;
mod scores;
mod topology;
mod usage;
pub mod v0_1_0;
pub mod v0_1_1;

use std::sync::Arc;

use agent_model::{Invalid, Lowered, ManifestFormat, ResourceKind, SpecDocument};
use semver::Version;
use serde_json::Value;

pub use device_topology::DeviceTopology;
pub use expressing::express;
pub use interpret_error::InterpretError;
pub use registry::{ScoreRegistry, UnknownScore, choose};
pub use requirement::{Requirement, requirements};
pub use score::{Interpret, Score, WireForm};
pub use score_id::{InvalidScoreId, ScoreId};
pub use scores::{
    ConfigFile, ConfigSet, Container, ContainerApp, File, InvalidRelativePath, MountedConfig, Process,
    Program, RelativePath, ServiceApp, ShellJob, SystemdUnit,
};
pub use topology::{
    CONTAINERS, Capability, Child, Containers, FILES, Files, PROCESSES, Processes, SHELL_JOBS, SYSTEMD_UNITS,
    ShellJobs, SystemdUnits, Topology,
};

/// The kind of envelope that this format reads.
pub const KIND: &str = "Score";

/// Reads documents of the kind `Score`, version 0.1.
#[derive(Clone)]
pub struct ScoreBridge {
    registry: ScoreRegistry,
    kinds: Arc<[ResourceKind]>,
}

impl ScoreBridge {
    /// A bridge for a device that has these Scores, and reconcilers for these kinds of resource.
    pub fn new(registry: ScoreRegistry, kinds: impl IntoIterator<Item = ResourceKind>) -> Self {
        Self { registry, kinds: kinds.into_iter().collect() }
    }

    /// The Scores as the device's status lists them: `File@0.1.0`.
    pub fn advertised(&self) -> Vec<String> {
        self.registry.ids().map(ToString::to_string).collect()
    }
}

impl ManifestFormat for ScoreBridge {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema_versions(&self) -> Vec<Version> {
        vec![v0_1_0::VERSION, v0_1_1::VERSION]
    }

    fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
        lowering::lower(document, &self.registry, &self.kinds)
    }
}

/// The JSON Schema of each version, oldest first: what is committed in `schemas/Score`, byte for byte.
pub const JSON_SCHEMAS: &[(Version, &str)] = &[
    (v0_1_0::VERSION, include_str!("../../schemas/Score/0.1.0.json")),
    (v0_1_1::VERSION, include_str!("../../schemas/Score/0.1.1.json")),
];

/// The JSON Schema (draft 2020-12) of a whole document, as its author writes it, of each version as it is derived from
/// the wire types; oldest first.
///
/// It says what can be said of each field by itself, and nothing of what an entry is `with`: that is
/// the Score's own, and judged with all the rest by lowering.
pub fn json_schemas() -> Vec<(Version, Value)> {
    vec![
        (v0_1_0::VERSION, schemars::schema_for!(v0_1_0::ScoreDocument).to_value()),
        (v0_1_1::VERSION, schemars::schema_for!(v0_1_1::ScoreDocument).to_value()),
    ]
}
