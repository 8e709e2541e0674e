//! A container with its configuration.

mod config;

use agent_model::{
    ContainerSpec, pointer_to,
    reader::{Field, Findings},
};
use semver::Version;
use serde::Serialize;

use crate::{Child, Container, Containers, Files, Interpret, InterpretError, Score, WireForm};

pub use config::MountedConfig;

/// A container that sees its configuration files, and is started anew when one of them is declared otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainerApp {
    /// The files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<MountedConfig>,
    /// The container, without the mount of these files. It takes the Score's own name.
    pub container: ContainerSpec,
}

impl WireForm for ContainerApp {
    const NAME: &'static str = "ContainerApp";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        body.object(findings, |fields| {
            let config = fields.optional("config", MountedConfig::read);
            let container = fields.required("container", ContainerSpec::read);
            if let (Some(config), Some(container)) = (&config, &container)
                && container.mounts.iter().any(|mount| mount.target == config.target)
            {
                let message =
                    format!("{} is already the target of one of the container's mounts", config.target);
                let pointer = pointer_to(&pointer_to(&fields.pointer, "config"), "target");
                fields.findings.problem(pointer, message);
                return None;
            }
            Some(Self { config, container: container? })
        })
    }
}

impl<T: Containers + Files> Score<T> for ContainerApp {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: Containers + Files> Interpret<T> for &ContainerApp {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        let mut container = self.container.clone();
        let mut files = Vec::new();
        if let Some(config) = &self.config {
            files = config.set.declare(topology, "/config")?;
            container.mounts.push(config.mount());
        }
        let child =
            Child { pointer: "/container", depends_on: &files, restart_on: &files, ..Child::default() };
        topology.interpret(&child, &Container(container)).map(|_| ())
    }
}
