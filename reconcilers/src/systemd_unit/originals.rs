//! What units' files replaced, kept until it comes back: by content, in a folder of the agent's own. Blocking.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use agent_model::{Digest, Failure};
use crash_point::crash_point;

use super::failures;

/// The folder; made with mode 0700 when first needed.
#[derive(Debug)]
pub(super) struct Originals(PathBuf);

impl Originals {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Whether that content is kept, whole.
    pub(super) fn has(&self, content: Digest) -> bool {
        self.read(content).is_some()
    }

    /// That content; `None` where it is not kept, or not as it was.
    pub(super) fn read(&self, content: Digest) -> Option<Vec<u8>> {
        fs::read(self.path(content)).ok().filter(|text| Digest::of_bytes(text) == content)
    }

    /// Keeps a content durably.
    pub(super) fn keep(&self, text: &[u8]) -> Result<(), Failure> {
        let path = self.path(Digest::of_bytes(text));
        let temporary = path.with_extension("tmp");
        let kept = || -> io::Result<()> {
            match DirBuilder::new().mode(0o700).create(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(text)?;
            file.sync_all()?;
            crash_point();
            fs::rename(&temporary, &path)?;
            File::open(&self.0)?.sync_all()?;
            self.0.parent().map_or(Ok(()), |above| File::open(above)?.sync_all())
        };
        kept().map_err(|error| failures::io("keep a copy in", &self.0, &error))?;
        crash_point();
        Ok(())
    }

    /// Lets go of contents that nothing needs.
    pub(super) fn drop_all(&self, contents: &BTreeSet<Digest>) {
        for content in contents {
            if let Err(error) = fs::remove_file(self.path(*content))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "an original that nothing needs stays on disk");
            }
        }
    }

    fn path(&self, content: Digest) -> PathBuf {
        self.0.join(content.hex())
    }
}
