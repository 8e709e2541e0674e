//! `keygen`: a pair of keys to sign documents with.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use agent_core::signing::SecretKey;

use super::read_or_not;
use crate::{cli::Keygen, failure::Failure, outcome::Outcome, output::Output, sealing};

pub(crate) fn run(arguments: &Keygen, output: &mut Output) -> Result<Outcome, Failure> {
    let private = &arguments.out;
    let public = arguments.public_out.clone().unwrap_or_else(|| beside(private));
    if public == *private {
        return Err(Failure::Usage("--out and --public-out are the same file".to_owned()));
    }
    if !arguments.force
        && let Some(there) = [private, &public].into_iter().find(|path| fs::symlink_metadata(path).is_ok())
    {
        return Err(Failure::Usage(format!(
            "{} is there already; --force replaces it, and what only it can sign is lost",
            there.display()
        )));
    }
    let invalid = |source| sealing::invalid(private, source);
    let key = SecretKey::generate().map_err(invalid)?;
    write(private, 0o600, &key.to_pem().map_err(invalid)?, arguments.force)?;
    let pem = key.public().to_pem().map_err(invalid)?;
    write(&public, 0o644, &pem, arguments.force)?;
    read_or_not(output.line(format_args!(
        "key {}: private key in {}, public key in {}",
        key.public().id(),
        private.display(),
        public.display()
    )))?;
    output.message(
        "Put the public key into the trust folder of each device (/etc/harmony-agent/trust), and keep the private one \
         away from devices and servers.",
    );
    Ok(Outcome::Done)
}

/// `signing.pem` and `signing.pub.pem`.
fn beside(private: &Path) -> PathBuf {
    private.with_extension("pub.pem")
}

/// Writes a file that is new, or takes the place of what is there: nothing is written through a link, and no mode of
/// before stays.
fn write(path: &Path, mode: u32, text: &str, replaces: bool) -> Result<(), Failure> {
    let unwritable = |source| Failure::Unwritable { path: path.to_owned(), source };
    if replaces
        && let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(unwritable(error));
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(unwritable)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(unwritable)
}
