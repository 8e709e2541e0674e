//! What a process and its probes are started with, and how much of it the system takes.

use super::ProcessSpec;
use crate::{Probe, ProbeAction, Probes, Problem};

/// Most bytes that a command and the environment take together, the NUL that ends each word and
/// variable included. No single one can be longer on Linux (`MAX_ARG_STRLEN`), and all of them fit
/// wherever the stack may have half a megabyte.
const MAX_ARGUMENT_BYTES: usize = 128 << 10;

impl ProcessSpec {
    /// How many bytes its commands, those of its probes included, and its environment have together.
    pub fn argument_bytes(&self) -> u64 {
        let commands: usize = self.commands().map(|(_, command)| bytes_of(command)).sum();
        (commands + self.env.bytes()) as u64
    }

    /// A problem for each command that could not be executed for its length, in a document that has the
    /// spec at `pointer`.
    pub(super) fn too_long(&self, pointer: &str) -> Vec<Problem> {
        let problem = |(place, command): (String, &[String])| {
            let bytes = self.env.bytes() + bytes_of(command);
            let message = format!(
                "with the environment it has {bytes} bytes, more than the {MAX_ARGUMENT_BYTES} that a program can be \
                 started with; put them in a file"
            );
            (bytes > MAX_ARGUMENT_BYTES).then(|| Problem { pointer: format!("{pointer}{place}"), message })
        };
        self.commands().filter_map(problem).collect()
    }

    /// Each command, with the JSON pointer that leads to it from the spec.
    fn commands(&self) -> impl Iterator<Item = (String, &[String])> {
        let Probes { startup, readiness, liveness } = &self.probes;
        let probes = [("startup", startup), ("readiness", readiness), ("liveness", liveness)];
        let of_probes = probes.into_iter().filter_map(|(key, probe)| match probe {
            Some(Probe { action: ProbeAction::Exec { command }, .. }) => {
                Some((format!("/probes/{key}/exec/command"), command.as_slice()))
            }
            _ => None,
        });
        [("/command".to_owned(), self.command.as_slice())].into_iter().chain(of_probes)
    }
}

fn bytes_of(command: &[String]) -> usize {
    command.iter().map(|word| word.len() + 1).sum()
}
