//! Somebody who signs documents, without a line of the product: keys and signatures are openssl's.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::finish;

/// What a document's signature is over, besides the document.
pub const PAYLOAD_TYPE: &str = "application/vnd.harmony.envelope.v1+json";

/// A pair of keys, and its holder.
#[derive(Debug)]
pub struct Signer {
    folder: TempDir,
    key_id: String,
}

impl Signer {
    /// Somebody with a new key.
    pub async fn new() -> Self {
        let folder = TempDir::with_prefix("harmony-signer-").unwrap();
        let signer = Self { key_id: String::new(), folder };
        let private = signer.private_key();
        openssl(&["genpkey", "-algorithm", "ed25519", "-out", &private]).await;
        openssl(&["pkey", "-in", &private, "-pubout", "-out", &signer.public_key()]).await;
        let key_id = key_id(Path::new(&signer.public_key())).await;
        Self { key_id, ..signer }
    }

    /// The file with the private key.
    pub fn private_key(&self) -> String {
        self.file("private.pem")
    }

    /// The file with the public key.
    pub fn public_key(&self) -> String {
        self.file("public.pem")
    }

    /// The text of the public key.
    pub fn pem(&self) -> String {
        fs::read_to_string(self.public_key()).unwrap()
    }

    /// What the key is known by.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The sealed form of a document.
    pub async fn seal(&self, document: &Value) -> Value {
        self.seal_as(PAYLOAD_TYPE, document.to_string().as_bytes()).await
    }

    /// The sealed form of anything, called that.
    pub async fn seal_as(&self, payload_type: &str, payload: &[u8]) -> Value {
        let [message, signature] = ["message", "signature"].map(|name| self.file(name));
        let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
        fs::write(&message, [head.as_bytes(), payload].concat()).unwrap();
        let key = self.private_key();
        openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", &key, "-in", &message, "-out", &signature]).await;
        let sig = self.base64(&fs::read(&signature).unwrap()).await;
        json!({
            "payloadType": payload_type,
            "payload": self.base64(payload).await,
            "signatures": [{"keyid": self.key_id, "sig": sig}],
        })
    }

    /// Bytes in base64.
    pub async fn base64(&self, bytes: &[u8]) -> String {
        let file = self.file("bytes");
        fs::write(&file, bytes).unwrap();
        openssl(&["base64", "-A", "-in", &file]).await
    }

    fn file(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str().expect("temporary folders have plain names").to_owned()
    }
}

/// The id of the public key in a file, as the wire contract defines it: of the SHA-256 of the raw key, which ends the
/// DER form (RFC 8410), the first half.
pub async fn key_id(public_key: &Path) -> String {
    let folder = TempDir::with_prefix("harmony-key-").unwrap();
    let file = folder.path().join("key").to_str().expect("temporary folders have plain names").to_owned();
    let public = public_key.to_str().expect("temporary folders have plain names");
    openssl(&["pkey", "-pubin", "-in", public, "-outform", "DER", "-out", &file]).await;
    let der = fs::read(&file).unwrap();
    fs::write(&file, &der[der.len() - 32..]).unwrap();
    openssl(&["dgst", "-sha256", "-r", &file]).await[..32].to_owned()
}

/// Runs openssl, and returns what it prints.
///
/// # Panics
/// When it fails.
pub async fn openssl(arguments: &[&str]) -> String {
    let command: Vec<String> = ["openssl"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    finish(&command, &[]).await.success()
}
