//! What a job printed, as far as the status shows it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use agent_model::{Environment, Unsealer};
use process_shim::ProcessFolder;
use serde_json::{Value, json};

use crate::workload::printed::{Masked, text_of_lines};

/// How much is shown from the beginning, and from the end, in bytes.
const SHOWN: usize = 4 << 10;
/// How much of a log is kept for that, in bytes: what is shown, with the time at the beginning of each line, if lines
/// are a few characters long.
pub(super) const KEPT: u64 = 128 << 10;

/// The first and the last of what was printed: `{"first", "last"}`, or only the first where that is all. Values of the
/// environment are masked, because they may be secret; nothing is shown where these are not known. Blocking.
pub(super) fn read(folder: &ProcessFolder, env: &Environment, unsealer: &dyn Unsealer) -> Value {
    let Some(masked) = Masked::values_of(env, unsealer) else { return Value::Null };
    let head = masked.left_out_of(&text_of(&[folder.head()]));
    let tail = masked.left_out_of(&text_of(&[folder.log(1), folder.log(0)]));
    shown(&head, &tail)
}

fn shown(head: &str, tail: &str) -> Value {
    // While nothing was rotated out or left out, both hold the same.
    if head == tail && head.len() <= 2 * SHOWN {
        return json!({"first": head});
    }
    let first = &head[..head.floor_char_boundary(SHOWN)];
    let last = &tail[tail.ceil_char_boundary(tail.len().saturating_sub(SHOWN))..];
    json!({"first": first, "last": last})
}

/// What was printed as these files have it, the oldest first.
fn text_of(files: &[impl AsRef<Path>]) -> String {
    // One that is not there has nothing to tell.
    files.iter().map(|file| text_of_lines(&bounded(file.as_ref()).unwrap_or_default())).collect()
}

fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?.take(2 * KEPT).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use process_shim::log_line::{Stream, append};

    use crate::{fake_unsealer::NoKey, workload::printed::MOST_MASKED};

    use super::*;

    fn lines(texts: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        texts.iter().for_each(|text| {
            append(&mut out, SystemTime::UNIX_EPOCH, Stream::Stdout, false, text.as_bytes())
        });
        out
    }

    fn read_of(head: &[u8], log: &[u8], env: &[(&str, &str)]) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let folder = ProcessFolder::of(folder.path());
        fs::write(folder.head(), head).unwrap();
        fs::write(folder.log(0), log).unwrap();
        let mut variables = Environment::default();
        env.iter().for_each(|(name, value)| variables.set(name, value).unwrap());
        read(&folder, &variables, &NoKey)
    }

    #[test]
    fn short_output_is_shown_once_and_of_long_output_the_ends() {
        let short = lines(&["one", "two"]);
        assert_eq!(read_of(&short, &short, &[]), json!({"first": "one\ntwo\n"}));
        let (head, log) = (lines(&["a".repeat(5000).as_str()]), lines(&["ä".repeat(5000).as_str()]));
        let shown = read_of(&head, &log, &[]);
        assert_eq!(shown["first"].as_str().unwrap().len(), SHOWN);
        let last = shown["last"].as_str().unwrap();
        assert!(last.len() <= SHOWN && last.len() > SHOWN - 4 && last.ends_with("ä\n"));
    }

    #[test]
    fn no_value_of_the_environment_and_no_control_character_is_shown() {
        let env = [
            ("TOKEN", "hunter2"),
            ("LONGER", "hunter2-and-more"),
            ("WORD", "yes"),
            ("KEY", "first line\nsecond\n"),
        ];
        let text = lines(&["x hunter2-and-more", "hunter2 yes", "first line", "\u{1b}[31m"]);
        let shown = read_of(&text, &text, &env);
        assert_eq!(shown["first"], "x ***\n*** yes\n***\n\u{fffd}[31m\n");
    }

    #[test]
    fn masks_do_not_multiply_and_hide_values_with_control_characters() {
        let many = ["*"].repeat(60).join("\n") + "\nlonger *\n* even longer";
        let env = [("STARS", many.as_str()), ("MASKS", "******"), ("BELL", "ring\u{7}ring")];
        let text = lines(&["****** longer * ring\u{7}ring", "*"]);
        let shown = read_of(&text, &text, &env);
        assert_eq!(shown["first"], "*** *** ***\n*\n");

        let values = (0..=MOST_MASKED).map(|i| format!("value-{i:04}\n")).collect::<String>();
        assert_eq!(read_of(&text, &text, &[("LIST", &values)]), Value::Null);
    }
}
