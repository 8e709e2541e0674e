//! Damaged files of the state folder, kept for whoever wants to find out what happened.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// How many are kept of each, the newest.
const MAX_KEPT: usize = 8;

/// Gives a damaged file a name of its own, such as `ledger.damaged-1.json`, and tells which. Numbered, because a
/// device whose clock is not set would sort them wrongly by time.
///
/// # Errors
/// When it cannot be renamed, as on a read-only disk.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let (stem, extension) = name_parts(path).ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let prefix = format!("{stem}.damaged-");
    let suffix = format!(".{extension}");
    let kept = numbered(folder, &prefix, &suffix);
    let number = kept.last().map_or(1, |(number, _)| number.saturating_add(1));
    let aside = folder.join(format!("{prefix}{number}{suffix}"));
    fs::rename(path, &aside)?;
    for (_, oldest) in kept.iter().rev().skip(MAX_KEPT - 1) {
        let _ = fs::remove_file(oldest);
    }
    Ok(aside)
}

/// What stands before the first dot of a name, and after its last one.
fn name_parts(path: &Path) -> Option<(&str, &str)> {
    let name = path.file_name()?.to_str()?;
    Some((name.split('.').next()?, name.rsplit_once('.')?.1))
}

/// The files in `folder` whose names have a number between these two, by that number.
pub(crate) fn numbered(folder: &Path, prefix: &str, suffix: &str) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let number = |name: &str| name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse().ok();
    let mut found: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_eight_are_kept_under_names_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..=10 {
            let path = folder.path().join(if number % 2 == 0 { "log.7.jsonl" } else { "log.jsonl" });
            fs::write(&path, number.to_string()).unwrap();
            let aside = set_aside(&path).unwrap();
            assert_eq!(aside, folder.path().join(format!("log.damaged-{number}.jsonl")));
            assert!(!path.exists());
        }
        let kept = numbered(folder.path(), "log.damaged-", ".jsonl");
        assert_eq!(kept.iter().map(|(number, _)| *number).collect::<Vec<_>>(), Vec::from_iter(3..=10));
        assert_eq!(fs::read_to_string(&kept[0].1).unwrap(), "3");
    }
}
