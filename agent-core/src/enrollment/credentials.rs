//! The file of credentials that a device comes to.

use std::{fs, io, path::Path};

use nkeys::KeyPair;

use super::{KeyError, UserJwt, user_jwt::key_named_in};
use crate::durable_file;

/// Whether the device has credentials in that file already; one that is empty holds none.
///
/// # Errors
/// [`KeyError::UnreadableCredentials`] and [`KeyError::NoCredentials`]: with such a file no agent could log in, and it is
/// somebody's to look at before another one takes its place.
pub fn has_credentials(path: &Path) -> Result<bool, KeyError> {
    let text = match fs::read_to_string(path) {
        Ok(text) if text.is_empty() => return Ok(false),
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(source) => return Err(KeyError::UnreadableCredentials { path: path.to_owned(), source }),
    };
    let mut lines = text.lines().map(str::trim);
    let named = lines.clone().find_map(key_named_in);
    let held = lines.find_map(|line| KeyPair::from_seed(line).ok()).map(|pair| pair.public_key());
    match (named, held) {
        (Some(named), Some(held)) if named == held => Ok(true),
        _ => Err(KeyError::NoCredentials { path: path.to_owned() }),
    }
}

/// Sees that credentials could be kept there, before anybody is asked for them: who has decided does not do so again.
///
/// # Errors
/// [`KeyError::File`].
pub fn check_place(path: &Path) -> Result<(), KeyError> {
    // The name under which they are written before they take their place.
    let tried = path.with_extension("tmp");
    durable_file::create(&tried).and_then(|_| fs::remove_file(&tried)).map_err(KeyError::at(path))
}

/// Credentials as NATS clients read them.
pub(super) fn text(jwt: &UserJwt, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n",
        jwt.as_str()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{super::user_jwt::tests::Claims, *};

    #[test]
    fn only_a_jwt_with_the_seed_of_its_key_are_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.creds");
        assert!(!has_credentials(&path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(!has_credentials(&path).unwrap(), "an empty file");
        let claims = Claims::default();
        let jwt = UserJwt::check(&claims.jwt(), &claims.agent(), &claims.key()).unwrap();
        let good = text(&jwt, &claims.seed());
        fs::write(&path, &good).unwrap();
        assert!(has_credentials(&path).unwrap());
        let other = text(&jwt, &KeyPair::new_user().seed().unwrap());
        let half = &good[..good.len() / 2];
        for wrong in ["\n", "TODO", jwt.as_str(), &claims.seed(), half, &other, "SU"] {
            fs::write(&path, wrong).unwrap();
            let refused = has_credentials(&path);
            assert!(matches!(refused, Err(KeyError::NoCredentials { .. })), "{wrong:?}: {refused:?}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(has_credentials(&path), Err(KeyError::NoCredentials { .. })));
        let refused = has_credentials(folder.path());
        assert!(matches!(refused, Err(KeyError::UnreadableCredentials { .. })), "{refused:?}");
    }

    #[test]
    fn a_place_is_tried_without_a_trace_and_one_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        check_place(&folder.path().join("device.creds")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let refused = check_place(&folder.path().join("missing/device.creds"));
        assert!(matches!(refused, Err(KeyError::File { .. })), "{refused:?}");
    }

    #[test]
    fn a_link_that_stands_where_a_place_is_tried_is_removed_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "theirs").unwrap();
        symlink(&theirs, folder.path().join("device.tmp")).unwrap();
        check_place(&folder.path().join("device.creds")).unwrap();
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
