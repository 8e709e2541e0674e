//! Why the file system did not do something, in words for the status.

use std::{io, path::Path};

use agent_model::Failure;

/// The system refused: `doing` is a verb that `path` completes, as in "write".
pub(crate) fn failure(doing: &str, path: &Path, error: &io::Error) -> Failure {
    let (reason, advice) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ("DiskFull", "; free some space there"),
        _ => ("InputOutput", ""),
    };
    Failure::passing(reason, format!("cannot {doing} {}: {error}{advice}", path.display()))
}
