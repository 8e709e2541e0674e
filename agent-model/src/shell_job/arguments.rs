//! What a job is started with, and how much of it the system takes.

use super::ShellJobSpec;
use crate::Problem;

/// Most bytes that the interpreter's command and the environment take together: as for a process.
const MAX_ARGUMENT_BYTES: usize = 128 << 10;

impl ShellJobSpec {
    /// How many bytes its scripts, its interpreter and its environment have together.
    pub fn content_bytes(&self) -> u64 {
        (self.script.len() + self.unless.as_ref().map_or(0, String::len) + self.started_with()) as u64
    }

    /// A problem where it could not be started for its length, in a document that has the spec at `pointer`.
    pub(super) fn too_long(&self, pointer: &str) -> Option<Problem> {
        let bytes = self.started_with();
        let message = format!(
            "with the environment it has {bytes} bytes, more than the {MAX_ARGUMENT_BYTES} that a program can be \
             started with; put them in a file"
        );
        (bytes > MAX_ARGUMENT_BYTES).then(|| Problem { pointer: format!("{pointer}/interpreter"), message })
    }

    fn started_with(&self) -> usize {
        self.env.bytes() + self.interpreter.iter().map(|word| word.len() + 1).sum::<usize>()
    }
}
