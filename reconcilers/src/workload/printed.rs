//! What something printed, as it may leave the device: without control characters, and without the values of its
//! environment.

use agent_model::{Environment, Unsealer};
use process_shim::log_line::LogLine;

/// Plain values of the environment, and lines of any, that are shorter than this are not masked: they are words that no
/// secret consists of, such as the brackets of a file.
const SHORTEST_MASKED: usize = 6;
/// More texts than this are not looked for: nothing is shown then.
pub(crate) const MOST_MASKED: usize = 512;
/// What stands in the place of a value of the environment.
const MASK: &str = "***";

/// Values that may be secret.
#[derive(Debug)]
pub(crate) struct Masked(Vec<String>);

impl Masked {
    /// The values of that environment; `None` where they are not known or too many, so that nothing may be shown.
    pub(crate) fn values_of(env: &Environment, unsealer: &dyn Unsealer) -> Option<Self> {
        let opened = env.opened(unsealer).ok()?;
        let sealed = env.iter().map(|(_, value)| value.sealed().is_some());
        let mut masked: Vec<String> = opened
            .values()
            .zip(sealed)
            .flat_map(|(value, is_sealed)| {
                // What is sealed is secret however short it is.
                let shortest = if is_sealed && value.lines().nth(1).is_none() { 1 } else { SHORTEST_MASKED };
                value.lines().map(str::trim).filter(move |line| line.len() >= shortest)
            })
            .map(visible)
            .collect();
        // The longest first: one may be a part of another.
        masked.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        masked.dedup();
        (masked.len() <= MOST_MASKED).then_some(Self(masked))
    }

    /// The text with a mask in the place of each of these, the longest first. A mask is not looked at again: it may hold
    /// one of them itself.
    pub(crate) fn left_out_of(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let found = self.0.iter().find(|value| rest.starts_with(value.as_str()));
            match found {
                Some(_) => out.push_str(MASK),
                None => out.push(character),
            }
            rest = &rest[found.map_or(character.len_utf8(), String::len)..];
        }
        out
    }
}

/// What the lines of a log say, one to a line. What is no whole line is left out.
pub(crate) fn text_of_lines(log: &[u8]) -> String {
    let mut text = String::new();
    for line in log.split(|byte| *byte == b'\n').filter_map(LogLine::parse) {
        text.push_str(&visible(&String::from_utf8_lossy(line.content)));
        if !line.partial {
            text.push('\n');
        }
    }
    text
}

/// With characters only that do nothing to a terminal. Each takes one place in the status, however it is escaped there.
pub(crate) fn visible(text: &str) -> String {
    let visible = |c: char| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(visible).collect()
}
