//! The one document in a file that a command is given.

use std::{fs, io, io::Read, path::Path};

use agent_core::{
    authoring::{AuthoredDocument, read_documents},
    dispatcher::Formats,
    envelope::MAX_DOCUMENT_BYTES,
};

use crate::CommandError;

/// A document may be written more loosely than it travels, but not without any bound.
const MAX_FILE_BYTES: u64 = 4 * MAX_DOCUMENT_BYTES as u64;

/// Filled in for a kind that no format reads: the document is refused by its kind, before anybody
/// looks at the version.
const NO_SCHEMA_VERSION: &str = "0.0.0";

/// What is filled in where the document names no schema version: the newest that its format has.
pub(crate) fn schema_version(document: &AuthoredDocument, formats: &Formats) -> String {
    let newest = document.kind().and_then(|kind| formats.newest_schema_version(kind));
    newest.map_or_else(|| NO_SCHEMA_VERSION.to_owned(), |version| version.to_string())
}

/// Reads it from the file, or from standard input where that is `-`.
pub(crate) fn read(path: &Path) -> Result<AuthoredDocument, CommandError> {
    let source = path.display().to_string();
    let usage = |problem: String| CommandError::Usage(format!("{source}: {problem}"));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|error| usage(format!("cannot be read: {error}")))?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(usage(format!("is longer than {MAX_FILE_BYTES} bytes")));
    }
    let mut documents =
        read_documents(&text, &source).map_err(|error| CommandError::Usage(error.to_string()))?;
    match documents.len() {
        1 => Ok(documents.remove(0)),
        several => Err(usage(format!("holds {several} documents; give one"))),
    }
}
