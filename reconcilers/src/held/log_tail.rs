//! The end of what something printed that a shim holds or held.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use agent_model::{Environment, Unsealer};
use process_shim::{ProcessFolder, ShimRecord};

use crate::workload::printed::{Masked, text_of_lines};

/// As much is read of each file, in bytes: some lines, unless they are very long.
const READ: u64 = 32 << 10;

/// The end of the log in that folder, without the values of this environment; `None` where the last to print there was
/// not started for what has this effective digest. Blocking.
pub(crate) fn log_tail(
    folder: &ProcessFolder,
    digest: &str,
    env: &Environment,
    unsealer: &dyn Unsealer,
) -> Option<String> {
    let shim = ShimRecord::read(&folder.shim_record()).ok().flatten()?;
    if shim.digest != digest {
        return None;
    }
    let masked = Masked::values_of(env, unsealer)?;
    let text: String = [folder.log(1), folder.log(0)]
        .iter()
        // One that is not there has nothing to tell.
        .map(|file| text_of_lines(&end_of(file).unwrap_or_default()))
        .collect();
    Some(masked.left_out_of(&text)).filter(|text| !text.is_empty())
}

fn end_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(READ)))?;
    let mut end = Vec::new();
    file.take(READ).read_to_end(&mut end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use process_shim::{
        ProcessIdentity,
        log_line::{Stream, append},
    };

    use crate::fake_unsealer::NoKey;

    use super::*;

    fn lines(texts: impl IntoIterator<Item = String>) -> Vec<u8> {
        let mut out = Vec::new();
        texts.into_iter().for_each(|text| {
            append(&mut out, SystemTime::UNIX_EPOCH, Stream::Stderr, false, text.as_bytes())
        });
        out
    }

    fn shim_of(digest: &str) -> ShimRecord {
        ShimRecord {
            run: "1".to_owned(),
            digest: digest.to_owned(),
            boot_id: "boot".to_owned(),
            shim: ProcessIdentity::own().unwrap(),
            process: None,
            started_at: String::new(),
            started_ms: 0,
            stopping: false,
            control_groups: Vec::new(),
        }
    }

    #[test]
    fn the_last_lines_are_those_of_the_very_declaration_and_hold_no_value_of_its_environment() {
        let folder = tempfile::tempdir().unwrap();
        let folder = ProcessFolder::of(folder.path());
        let mut env = Environment::default();
        env.set("TOKEN", "hunter2").unwrap();
        let tail = |digest: &str| log_tail(&folder, digest, &env, &NoKey);
        assert_eq!(tail("sha256:1"), None);
        shim_of("sha256:1").write(&folder.shim_record()).unwrap();
        assert_eq!(tail("sha256:1"), None, "nothing was printed");
        fs::write(folder.log(1), lines(["old".to_owned()])).unwrap();
        fs::write(folder.log(0), lines(["with hunter2".to_owned(), "last\u{7}".to_owned()])).unwrap();
        assert_eq!(tail("sha256:1").as_deref(), Some("old\nwith ***\nlast\u{fffd}\n"));
        assert_eq!(tail("sha256:2"), None);
    }

    #[test]
    fn of_a_long_log_only_the_end_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let folder = ProcessFolder::of(folder.path());
        shim_of("sha256:1").write(&folder.shim_record()).unwrap();
        fs::write(folder.log(0), lines((0..10_000).map(|n| format!("line {n}")))).unwrap();
        let tail = log_tail(&folder, "sha256:1", &Environment::default(), &NoKey).unwrap();
        assert!(tail.len() < usize::try_from(READ).unwrap() && tail.ends_with("line 9998\nline 9999\n"));
        assert!(tail.starts_with("line "), "no line is cut");
    }
}
