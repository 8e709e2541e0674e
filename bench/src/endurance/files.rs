//! What the device of these measurements is told to keep.

use tests::document::{file, manifest};

use super::{AGENT, FILES};

pub(super) fn path(number: u64) -> String {
    format!("/etc/app/file-{number}.conf")
}

/// Some files, of which the first differs in each generation.
pub(super) fn document(generation: u64) -> serde_json::Value {
    let content = |number| if number == 0 { format!("generation = {generation}\n") } else { String::new() };
    let file = |number| file(&format!("file-{number}"), &path(number), &content(number));
    manifest(AGENT, generation, &(0..FILES).map(file).collect::<Vec<_>>())
}
