//! The pairs of keys in the folder.

use std::path::Path;

use nkeys::KeyPair;

use super::{Change, FolderError, files, io_error};
use crate::{durable_file::replace, keys::Key};

/// The pairs of keys, in the order of [`Key::ALL`].
pub(super) struct KeyRing(Vec<KeyPair>);

impl KeyRing {
    /// Makes those that are not there; says what was done about each.
    pub(super) fn make(path: &Path, note: &mut impl FnMut(String, Change)) -> Result<Self, FolderError> {
        Self::of(
            path,
            |key, file| {
                let pair = KeyPair::new(key.kind());
                let seed = pair.seed().map_err(|_| FolderError::Key { path: file.to_owned() })?;
                replace(file, &format!("{seed}\n")).map_err(io_error(file))?;
                Ok(pair)
            },
            note,
        )
    }

    /// Reads those of a folder that was made.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let unfinished =
            |_, file: &Path| Err(FolderError::Unfinished { folder: path.to_owned(), file: file.to_owned() });
        Self::of(path, unfinished, &mut |_, _| ())
    }

    /// What is `missing` though something was made of it was lost.
    fn of(
        path: &Path,
        missing: impl Fn(Key, &Path) -> Result<KeyPair, FolderError>,
        note: &mut impl FnMut(String, Change),
    ) -> Result<Self, FolderError> {
        let is_in_use = path.join(files::token("operator")).exists();
        let mut pairs = Vec::with_capacity(Key::ALL.len());
        for key in Key::ALL {
            let name = files::key(key);
            let file = path.join(&name);
            let (pair, change) = match read_key(&file, key)? {
                Some(pair) => (pair, Change::Unchanged),
                None if is_in_use => return Err(FolderError::LostKey(file)),
                None => (missing(key, &file)?, Change::Created),
            };
            note(name, change);
            pairs.push(pair);
        }
        Ok(Self(pairs))
    }

    pub(super) fn pair(&self, key: Key) -> &KeyPair {
        &self.0[key as usize]
    }

    pub(super) fn public(&self, key: Key) -> String {
        self.pair(key).public_key()
    }
}

fn read_key(path: &Path, key: Key) -> Result<Option<KeyPair>, FolderError> {
    let Some(text) = files::read(path)? else { return Ok(None) };
    files::refuse_exposed(path)?;
    match KeyPair::from_seed(text.trim()) {
        Ok(pair) if pair.key_pair_type() == key.kind() => Ok(Some(pair)),
        _ => Err(FolderError::Key { path: path.to_owned() }),
    }
}
