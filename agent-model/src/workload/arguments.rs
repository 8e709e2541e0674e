//! What a workload and its probes are started with, and how much of it the system takes.

use super::{Environment, Probe, ProbeAction, Probes};
use crate::Problem;

/// Most bytes that a command and the environment take together, the NUL that ends each word and
/// variable included. No single one can be longer on Linux (`MAX_ARG_STRLEN`), and all of them fit
/// wherever the stack may have half a megabyte.
const MAX_ARGUMENT_BYTES: usize = 128 << 10;

/// The commands of one workload, all of which are started in the same environment.
pub(crate) struct Commands<'a> {
    env: &'a Environment,
    /// The JSON pointer that leads to each from the spec, and how many bytes it has.
    commands: Vec<(String, usize)>,
}

impl<'a> Commands<'a> {
    /// The workload's own command, to which `place` leads, and those of its probes.
    pub(crate) fn new<'w>(
        place: &str,
        own: impl IntoIterator<Item = &'w String>,
        env: &'a Environment,
        probes: &Probes,
    ) -> Self {
        let Probes { startup, readiness, liveness } = probes;
        let probes = [("startup", startup), ("readiness", readiness), ("liveness", liveness)];
        let of_probes = probes.into_iter().filter_map(|(key, probe)| match probe {
            Some(Probe { action: ProbeAction::Exec { command }, .. }) => {
                Some((format!("/probes/{key}/exec/command"), bytes_of(command)))
            }
            _ => None,
        });
        Self { env, commands: [(place.to_owned(), bytes_of(own))].into_iter().chain(of_probes).collect() }
    }

    /// How many bytes all of them and the environment have together.
    pub(crate) fn bytes(&self) -> u64 {
        let commands: usize = self.commands.iter().map(|(_, bytes)| bytes).sum();
        (commands + self.env.bytes()) as u64
    }

    /// A problem for each that could not be executed for its length, in a document that has the spec at
    /// `pointer`.
    pub(crate) fn too_long(&self, pointer: &str) -> Vec<Problem> {
        let problem = |(place, bytes): &(String, usize)| {
            let bytes = self.env.bytes() + bytes;
            let message = format!(
                "with the environment it has {bytes} bytes, more than the {MAX_ARGUMENT_BYTES} that a program can be \
                 started with; put them in a file"
            );
            (bytes > MAX_ARGUMENT_BYTES).then(|| Problem { pointer: format!("{pointer}{place}"), message })
        };
        self.commands.iter().filter_map(problem).collect()
    }
}

fn bytes_of<'w>(words: impl IntoIterator<Item = &'w String>) -> usize {
    words.into_iter().map(|word| word.len() + 1).sum()
}
