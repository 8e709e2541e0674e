//! The folder with the keys that a device trusts: a PEM file for each, `*.pem`.
//!
//! Before the key a file may say how long it is trusted, in the text that PEM leaves room for (RFC 7468, section 2)
//! and that openssl passes over:
//!
//! ```text
//! # platform, 2026
//! Not-After: 2027-01-01T00:00:00Z
//! -----BEGIN PUBLIC KEY-----
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use agent_model::Timestamp;

use super::{PublicKey, TrustedKey};
use crate::guarded_file::{self, GuardedFileError};

/// More keys than anybody needs who rotates them.
const MAX_KEYS: usize = 16;
/// An ed25519 key takes some hundred bytes.
const MAX_KEY_BYTES: u64 = 16 * 1024;
const BEGIN: &str = "-----BEGIN ";
const NOT_AFTER: &str = "Not-After:";

/// Why the keys are not known. The agent does not start then: with fewer keys than were meant it would refuse what
/// it should do.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The folder or a file cannot be read, or somebody else can write it.
    #[error(transparent)]
    File(#[from] GuardedFileError),
    /// The folder cannot be listed.
    #[error("cannot list the trust folder {path}")]
    Unlisted {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no key in it, or there are too many.
    #[error(
        "the trust folder {path} holds {count} files *.pem; put at least one public key there, and at most {MAX_KEYS}"
    )]
    Count {
        /// The folder.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// Two files hold one key, so that it is not known until when it is trusted.
    #[error("{path} and {other} hold the same key: remove one of them")]
    Twice {
        /// The one.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A file holds no key.
    #[error("{path}: {problem}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads all keys of a folder.
///
/// # Errors
/// See [`TrustError`].
pub fn read(folder: &Path) -> Result<Vec<TrustedKey>, TrustError> {
    let real = guarded_file::folder(folder)?;
    let unlisted = |source| TrustError::Unlisted { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(&real).map_err(unlisted)? {
        let path = entry.map_err(unlisted)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    if files.is_empty() || files.len() > MAX_KEYS {
        return Err(TrustError::Count { path: folder.to_owned(), count: files.len() });
    }
    files.sort();
    let mut keys: Vec<(PathBuf, TrustedKey)> = Vec::with_capacity(files.len());
    for path in files {
        let key = read_key(path.clone())?;
        if let Some((other, _)) = keys.iter().find(|(_, other)| other.key == key.key) {
            return Err(TrustError::Twice { path, other: other.clone() });
        }
        keys.push((path, key));
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

fn read_key(path: PathBuf) -> Result<TrustedKey, TrustError> {
    let text = guarded_file::read_text(&path, MAX_KEY_BYTES)?;
    parse_trusted_key(&text).map_err(|problem| TrustError::Key { path, problem })
}

/// Reads the text of a file with a public key, and until when it is trusted.
///
/// # Errors
/// What is wrong with it.
pub fn parse_trusted_key(text: &str) -> Result<TrustedKey, String> {
    if text.contains("PRIVATE KEY-----") {
        return Err("it holds a private key, which belongs to whoever signs and to no device: remove it, sign with another \
             one from now on, and put the public key here"
            .to_owned());
    }
    let begin = text.find(BEGIN).ok_or("it holds no PEM text")?;
    let (before, pem) = text.split_at(begin);
    let key = PublicKey::from_pem(pem).map_err(|error| error.to_string())?;
    Ok(TrustedKey { key, not_after: not_after(before)? })
}

/// The last line that says it. A line that says anything else is no comment by accident: one that is misspelt would
/// make a key trusted for ever.
fn not_after(before: &str) -> Result<Option<Timestamp>, String> {
    let mut not_after = None;
    for line in before.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(time) = line.strip_prefix(NOT_AFTER) else {
            let line: String = line.chars().take(80).collect();
            return Err(format!("{line:?} before the key is neither a # comment nor \"{NOT_AFTER} TIME\""));
        };
        let time = time.trim().parse().map_err(|error| format!("{NOT_AFTER} {error}"))?;
        not_after = Some(time);
    }
    Ok(not_after)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::signing::SecretKey;

    fn pem() -> String {
        SecretKey::generate().unwrap().public().to_pem().unwrap()
    }

    /// A folder of these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn each_pem_file_is_a_key_that_may_say_how_long_it_is_trusted() {
        let [old, new] = [pem(), pem()];
        let old_text = format!("# until the new one is everywhere\nNot-After: 2027-01-01T00:00:00Z\n\n{old}");
        let folder = folder(&[("a.pem", &old_text), ("b.pem", &new), ("notes.txt", "nothing")]);
        let keys = read(folder.path()).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].key, PublicKey::from_pem(&old).unwrap());
        assert_eq!(keys[0].not_after, Some("2027-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!((&keys[1].key, keys[1].not_after), (&PublicKey::from_pem(&new).unwrap(), None));
    }

    #[test]
    fn a_folder_without_a_key_or_with_something_else_in_its_place_is_refused_by_name() {
        let key = pem();
        let secret = SecretKey::generate().unwrap();
        let secret = secret.to_pem().unwrap();
        for (text, words) in [
            ("", "holds no PEM text"),
            (secret.as_str(), "holds a private key"),
            (&format!("Not-Afer: 2027-01-01T00:00:00Z\n{key}"), "Not-Afer"),
            (&format!("Not-After: tomorrow\n{key}"), "Not-After"),
            (&key.replace("MCow", "MCoX"), "no ed25519 public key"),
            // What stands behind a key would be passed over.
            (&format!("{key}Not-After: 2027-01-01T00:00:00Z\n"), "no ed25519 public key"),
            (&format!("{key}{key}"), "no ed25519 public key"),
            (&"x".repeat(20_000), "longer than"),
        ] {
            let folder = folder(&[("a.pem", text)]);
            let error = read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("a.pem"), "{text:.60}: {error}");
        }
        let error = read(folder(&[("a.txt", &key)]).path()).unwrap_err().to_string();
        assert!(error.contains("holds 0 files *.pem"), "{error}");
        assert!(read(Path::new("/does/not/exist")).unwrap_err().to_string().contains("/does/not/exist"));
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        let folder = folder(&[("a.pem", &pem())]);
        let file = folder.path().join("a.pem");
        for (path, mode) in [(file.as_path(), 0o666), (folder.path(), 0o777)] {
            let before = fs::metadata(path).unwrap().permissions();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read(folder.path()).unwrap_err().to_string();
            assert!(error.contains("cannot be trusted"), "{error}");
            fs::set_permissions(path, before).unwrap();
        }
    }
}
