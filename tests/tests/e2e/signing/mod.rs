//! Signed documents: keys and signatures of the real openssl, devices that ask for them.

mod command_line;
mod jobs;
mod keys;
mod replay;
mod verification;

use tests::signer::Signer;

/// A copy of a document that says something else at that place.
fn altered(document: &serde_json::Value, pointer: &str, to: serde_json::Value) -> serde_json::Value {
    let mut altered = document.clone();
    *altered.pointer_mut(pointer).expect("the document has that place") = to;
    altered
}

/// The text of a trust folder's file by which that key is trusted until then.
fn until(signer: &Signer, time: &str) -> String {
    format!("# rotated\nNot-After: {time}\n{}", signer.pem())
}
