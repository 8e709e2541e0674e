//! What is written into a device's entry: the document, signed with a key if there is one.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use agent_core::{
    envelope::{Envelope, MAX_ENTRY_BYTES, Received},
    signing::{InvalidKey, KeyId, Sealed, SecretKey},
};
use agent_model::{Generation, Timestamp, status::AgentStatus};
use fleet::{
    DesiredEntry,
    desired_state::StoredDocument,
    generation::{self, Exhausted, Writing},
};

use crate::{failure::Failure, manifest::Manifest, output::Output};

/// Signs what is written, if it was given a key.
pub(crate) struct Sealing {
    key: Option<SecretKey>,
}

impl Sealing {
    /// With the key in that file, if one is named. Warns of one that others can read.
    ///
    /// # Errors
    /// The file holds no key to sign with.
    pub(crate) fn with(file: Option<&Path>, output: &mut Output) -> Result<Self, Failure> {
        Ok(Self { key: file.map(|file| secret_key(file, output)).transpose()? })
    }

    /// What writing the document comes to. Nothing is signed under a generation that somebody else has written
    /// unless all of it is what this program would have written: their bytes never get this signature.
    ///
    /// # Errors
    /// There is no generation left, or the signed document does not fit into the bucket.
    pub(crate) fn decide(
        &self,
        manifest: &Manifest,
        entry: Option<&DesiredEntry>,
        status: Option<&AgentStatus>,
    ) -> Result<Writing, Failure> {
        let exhausted = |source| Failure::Exhausted { agent: manifest.agent.clone(), source };
        let public = self.key.as_ref().map(SecretKey::public);
        let mut writing =
            generation::decide(manifest.intent(), public.as_ref(), entry, status).map_err(exhausted)?;
        if let Writing::Sign(generation) = writing
            && same_again(manifest, generation, entry).is_none()
        {
            writing = Writing::Configure(generation.next().ok_or_else(|| exhausted(Exhausted))?);
        }
        if self.key.is_some() && !matches!(writing, Writing::Unchanged(_)) {
            self.value(manifest, writing, entry)?;
        }
        Ok(writing)
    }

    /// The value to write.
    ///
    /// # Errors
    /// It does not fit into the bucket.
    pub(crate) fn value(
        &self,
        manifest: &Manifest,
        writing: Writing,
        entry: Option<&DesiredEntry>,
    ) -> Result<Vec<u8>, Failure> {
        let again = match writing {
            Writing::Sign(generation) => same_again(manifest, generation, entry),
            Writing::Create(_) | Writing::Configure(_) | Writing::Unchanged(_) => None,
        };
        let document = again.unwrap_or_else(|| manifest.complete(writing.generation(), Timestamp::now()));
        let Some(key) = &self.key else { return Ok(document) };
        let sealed = Sealed::seal(&document, key);
        if sealed.len() > MAX_ENTRY_BYTES {
            return Err(Failure::InvalidDocuments(format!(
                "{}: signed, the document has {} bytes; at most {MAX_ENTRY_BYTES} can be written",
                manifest.place(),
                sealed.len()
            )));
        }
        Ok(sealed)
    }

    /// Who signed the document that one without a signature is going to replace.
    pub(crate) fn downgraded(&self, writing: Writing, entry: Option<&DesiredEntry>) -> Option<String> {
        let replaced = entry?.document.as_ref().filter(|document| document.is_sealed())?;
        let is_downgrade = self.key.is_none() && !matches!(writing, Writing::Unchanged(_));
        is_downgrade.then(|| signers(replaced))
    }
}

/// Who is said to have signed a document. That it is so, only a device finds out, or `verify`.
pub(crate) fn signers(document: &StoredDocument) -> String {
    let ids: Vec<String> = document.claimed_keys().iter().map(KeyId::to_string).collect();
    if ids.is_empty() { "a key without an id".to_owned() } else { ids.join(", ") }
}

/// The document under the generation and time of issue that the entry has, if that makes the entry's own bytes.
fn same_again(manifest: &Manifest, generation: Generation, entry: Option<&DesiredEntry>) -> Option<Vec<u8>> {
    let stored = entry?.document.as_ref()?;
    let envelope = Envelope::open(Received::read(&stored.envelope)).ok()?;
    let issued_at = envelope.metadata.issued_at.unwrap_or(Timestamp::UNIX_EPOCH);
    // Devices believe of what is signed that this time is past.
    if issued_at > Timestamp::now() {
        return None;
    }
    Some(manifest.complete(generation, issued_at)).filter(|document| *document == stored.envelope)
}

/// The private key in a file.
///
/// # Errors
/// There is none.
pub(crate) fn secret_key(file: &Path, output: &mut Output) -> Result<SecretKey, Failure> {
    let text = key_text(file)?;
    let unreadable = |source| Failure::File { path: file.to_owned(), source };
    let mode = fs::metadata(file).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        output.message(format_args!(
            "warning: others can read {}, and whoever has this key rules the devices; chmod 600 it",
            file.display()
        ));
    }
    SecretKey::from_pem(&text).map_err(|source| invalid(file, source))
}

/// The text of a file with a key.
///
/// # Errors
/// It cannot be read.
pub(crate) fn key_text(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|source| Failure::File { path: file.to_owned(), source })
}

pub(crate) fn invalid(file: &Path, source: InvalidKey) -> Failure {
    Failure::Key { path: PathBuf::from(file), source }
}
