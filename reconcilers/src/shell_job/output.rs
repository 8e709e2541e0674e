//! What a job printed, as far as the status shows it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use agent_model::Environment;
use process_shim::{ProcessFolder, log_line::LogLine};
use serde_json::{Value, json};

/// How much is shown from the beginning, and from the end, in bytes.
const SHOWN: usize = 4 << 10;
/// How much of a log is kept for that, in bytes: what is shown, with the time at the beginning of each line, if lines
/// are a few characters long.
pub(super) const KEPT: u64 = 128 << 10;
/// Values of the environment that are shorter than this are not masked: they are words that no secret consists of.
const SHORTEST_MASKED: usize = 6;
/// What stands in the place of a value of the environment.
const MASK: &str = "***";

/// The first and the last of what was printed: `{"first", "last"}`, or only the first where that is all. Values of the
/// environment are masked, because they may be secret. Blocking.
pub(super) fn read(folder: &ProcessFolder, env: &Environment) -> Value {
    let masked: Vec<&str> = env
        .iter()
        .flat_map(|(_, value)| value.lines())
        .filter(|line| line.trim().len() >= SHORTEST_MASKED)
        .map(str::trim)
        .collect();
    let head = text_of(&[folder.head()], &masked);
    let tail = text_of(&[folder.log(1), folder.log(0)], &masked);
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
fn text_of(files: &[impl AsRef<Path>], masked: &[&str]) -> String {
    let mut text = String::new();
    for file in files {
        // One that is not there has nothing to tell.
        let content = bounded(file.as_ref()).unwrap_or_default();
        for line in content.split(|byte| *byte == b'\n').filter_map(LogLine::parse) {
            text.extend(String::from_utf8_lossy(line.content).chars().map(visible));
            if !line.partial {
                text.push('\n');
            }
        }
    }
    // The longest first: one may be a part of another.
    let mut masked = masked.to_vec();
    masked.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
    masked.iter().fold(text, |text, value| text.replace(value, MASK))
}

fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?.take(2 * KEPT).read_to_end(&mut content)?;
    Ok(content)
}

/// A character that does nothing to a terminal. Each takes one place in the status, however it is escaped there.
fn visible(character: char) -> char {
    if character.is_control() && character != '\t' { char::REPLACEMENT_CHARACTER } else { character }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use process_shim::log_line::{Stream, append};

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
        read(&folder, &variables)
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
}
