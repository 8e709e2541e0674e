//! Ports of the device that resources publish.

use super::DesiredStateBuilder;
use crate::{Problem, ResourceSpec, container::HostPorts, pointer_to};

impl DesiredStateBuilder {
    /// Reports each port that two resources would have at the later of them. What listens by itself, a process or a
    /// container in the device's own network, declares no ports, and is found out by whoever comes second.
    pub(super) fn check_ports(&mut self) {
        let mut ports = HostPorts::default();
        for (i, declaration) in self.declarations.iter().enumerate() {
            let Some(ResourceSpec::Container(container)) = &declaration.spec else { continue };
            for (j, port) in container.ports.iter().enumerate() {
                let Some(first) = ports.take(port, i).filter(|first| **first != i) else { continue };
                let pointer = match &declaration.spec_pointer {
                    Some(spec) => pointer_to(&pointer_to(&pointer_to(spec, "ports"), j), "host"),
                    None => declaration.claim_pointer.clone(),
                };
                let first = self.declarations[*first].name.as_str();
                let message = format!("conflicts with {first:?}: both publish the device's port {port}");
                self.problems.push(Problem { pointer, message });
            }
        }
    }
}
