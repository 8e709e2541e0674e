//! `verify`: whether a device with these keys would take a signed document for one of theirs.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use agent_core::{
    envelope::{Envelope, MAX_DOCUMENT_BYTES, MAX_ENTRY_BYTES, Received, Refusal},
    expiry::Present,
    policy::Tolerance,
    signing::{Trust, TrustedKey, parse_trusted_key, read_trust_folder},
};
use agent_model::{RefusalReason, Timestamp};

use crate::{
    cli::Verify, failure::Failure, manifest::is_signed, outcome::Outcome, output::Output, reading::name_of,
    sealing, yaml_words::documents_of,
};

pub(crate) fn run(arguments: &Verify, output: &mut Output) -> Result<Outcome, Failure> {
    let trust = Trust::in_keys(keys(arguments)?, false);
    let mut outcome = Outcome::Done;
    for file in &arguments.filename {
        let (bytes, name) = (bytes_of(file)?, name_of(file));
        match verified(&bytes, &trust) {
            Ok(found) => output.line(format_args!("{name}: {found}"))?,
            Err(refusal) if is_unsigned(&bytes, &refusal) => {
                output.error(format_args!(
                    "{name}: Unsigned: the document is not signed; `harmonyctl sign` prints it signed, and `harmonyctl apply \
                     --sign-key FILE` writes it so"
                ));
                outcome = outcome.and(Outcome::Rejected);
            }
            Err(refusal) => {
                output.error(format_args!("{name}: {refusal}"));
                outcome = outcome.and(match refusal.reason {
                    RefusalReason::Unsigned | RefusalReason::UntrustedSignature => Outcome::Rejected,
                    _ => Outcome::Usage,
                });
            }
        }
    }
    Ok(outcome)
}

fn keys(arguments: &Verify) -> Result<Vec<TrustedKey>, Failure> {
    if arguments.key.is_empty() && arguments.trust_dir.is_none() {
        return Err(Failure::Usage("nobody is trusted: give --key or --trust-dir".to_owned()));
    }
    let mut keys = Vec::new();
    for file in &arguments.key {
        let problem = |problem| Failure::Usage(format!("{}: {problem}", file.display()));
        keys.push(parse_trusted_key(&sealing::key_text(file)?).map_err(problem)?);
    }
    if let Some(folder) = &arguments.trust_dir {
        keys.extend(read_trust_folder(folder).map_err(|error| Failure::Usage(error.to_string()))?);
    }
    Ok(keys)
}

/// Who signed it, and for whom it is.
fn verified(raw: &[u8], trust: &Trust) -> Result<String, Refusal> {
    let received = Received::judge(raw, trust, Present::new(Timestamp::now(), None, Tolerance::Tolerated));
    let signer = received.signer;
    let envelope = Envelope::open(received)?;
    let signer = signer.map_or_else(|| "nobody".to_owned(), |key| key.to_string());
    Ok(format!(
        "signed by {signer}: {} for {}, generation {}",
        envelope.kind, envelope.metadata.name, envelope.metadata.generation
    ))
}

/// Whether it is a document without a signature, be it as authors write them.
fn is_unsigned(raw: &[u8], refusal: &Refusal) -> bool {
    let is_authored = || {
        let documents = str::from_utf8(raw).ok().and_then(|text| documents_of(text, "").ok());
        documents.is_some_and(|documents| !documents.iter().any(is_signed))
    };
    match refusal.reason {
        RefusalReason::Unsigned => true,
        RefusalReason::Malformed => raw.len() <= MAX_DOCUMENT_BYTES && is_authored(),
        _ => false,
    }
}

/// A file's bytes, or those of stdin; no more than show that they are too many. A line feed at the end is not the
/// document's.
fn bytes_of(file: &PathBuf) -> Result<Vec<u8>, Failure> {
    let unreadable = |source| Failure::File { path: file.clone(), source };
    let most = MAX_ENTRY_BYTES as u64 + 2;
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        File::open(file).map_err(unreadable)?.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    bytes.pop_if(|last| *last == b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use agent_core::signing::{Sealed, SecretKey};

    use super::*;

    #[test]
    fn what_is_not_signed_is_told_from_what_is_no_document() {
        let key = SecretKey::generate().unwrap();
        let trust = Trust::in_keys([], false);
        let sealed = Sealed::seal(b"{}", &key);
        let cut = String::from_utf8(sealed.clone()).unwrap().replace("\"payload\":\"", "\"payload\":\"#");
        for (raw, expected) in [
            (&b"{\"kind\": \"AgentManifest\"}"[..], true),
            (b"kind: AgentManifest\nmetadata: {name: a}\n", true),
            (b"reboot now", false),
            (b"\xff", false),
            (&sealed, false),
            (cut.as_bytes(), false),
        ] {
            let refusal = verified(raw, &trust).unwrap_err();
            assert_eq!(is_unsigned(raw, &refusal), expected, "{}: {refusal}", String::from_utf8_lossy(raw));
        }
    }
}
