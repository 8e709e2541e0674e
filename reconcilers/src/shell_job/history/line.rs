//! One line of the history, and the check by which a damaged one is known.

use agent_model::{Conclusion, Digest, ResourceName};
use serde::{Deserialize, Serialize};

/// The version of the lines that this agent writes, and the only one that it reads.
const VERSION: u32 = 1;
/// How many hex digits of a line's SHA-256 stand at its end: enough to notice damage, which is all that it is for.
const CHECK_LEN: usize = 16;
const BEFORE_CHECK: &str = ",\"check\":\"";
const BEHIND_CHECK: &str = "\"}";

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all_fields = "camelCase")]
pub(super) enum Line {
    /// A run is about to be started: from here on it counts.
    Started {
        /// The digest of the declaration.
        key: Digest,
        /// The name of the job.
        name: ResourceName,
        /// As declared.
        run_id: String,
        /// The digest of the script.
        script: Digest,
        /// Names the run.
        run: String,
        /// Counts the runs of this declaration, from 1.
        attempt: u64,
        /// When (RFC 3339), by the clock of that moment: for people.
        at: String,
    },
    /// That run was not begun after all, for certain.
    NotStarted {
        /// The digest of the declaration.
        key: Digest,
        /// The run.
        run: String,
    },
    /// That run is over.
    Ended {
        /// The digest of the declaration.
        key: Digest,
        /// The run.
        run: String,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Nobody knows whether that declaration was run.
    Unknown {
        /// The digest of the declaration.
        key: Digest,
    },
    /// What was known before is lost, all or in part.
    Lost {
        /// What happened, for people.
        why: String,
    },
    /// All that was declared when that was noticed is known by now to be unknown.
    Fenced,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// In one word.
    pub conclusion: Conclusion,
    /// With which code; `None` where there is none to be known.
    pub exit_code: Option<i32>,
    /// Whether something of it was killed for want of memory.
    pub out_of_memory: bool,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// When it ended (RFC 3339), as its shim noted it; empty where nobody did.
    pub ended_at: String,
    /// The boot in which it ended, and when in that, in milliseconds.
    pub ended: Option<(String, u64)>,
}

impl Outcome {
    /// Of a run that is over and of which nobody noted how it ended.
    pub(in crate::shell_job) fn interrupted() -> Self {
        Self {
            conclusion: Conclusion::Interrupted,
            exit_code: None,
            out_of_memory: false,
            duration_ms: None,
            ended_at: String::new(),
            ended: None,
        }
    }
}

impl std::fmt::Display for Outcome {
    /// In words that follow "it".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.conclusion, self.exit_code) {
            (Conclusion::Succeeded, _) => f.write_str("succeeded")?,
            (Conclusion::Skipped, _) => f.write_str("was not needed, as its unless says")?,
            (Conclusion::TimedOut, _) => f.write_str("was killed because its time was up")?,
            (Conclusion::Cancelled, _) => f.write_str("was stopped before it had ended")?,
            (Conclusion::Interrupted, _) => {
                f.write_str("was interrupted, and nobody knows how far it got")?
            }
            (Conclusion::Failed, Some(code)) => write!(f, "failed with exit code {code}")?,
            (Conclusion::Failed, None) => f.write_str("failed")?,
        }
        if self.out_of_memory {
            f.write_str(", for want of memory")?;
        }
        match self.duration_ms {
            Some(millis) => {
                write!(f, " after {}", humantime::format_duration(std::time::Duration::from_millis(millis)))
            }
            None => Ok(()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Versioned<L> {
    v: u32,
    #[serde(flatten)]
    line: L,
}

impl Line {
    /// With its check and its line feed.
    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_string(&Versioned { v: VERSION, line: self })?;
        let check = check(text.as_bytes());
        // The closing brace is what the check comes before.
        text.pop();
        Ok(format!("{text}{BEFORE_CHECK}{check}{BEHIND_CHECK}\n").into_bytes())
    }

    /// Of a line without its line feed; `None` where that is not what was written.
    pub(super) fn decode(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let (text, found) = text.strip_suffix(BEHIND_CHECK)?.rsplit_once(BEFORE_CHECK)?;
        let text = format!("{text}}}");
        if found != check(text.as_bytes()) {
            return None;
        }
        let Versioned { v, line } = serde_json::from_str(&text).ok()?;
        (v == VERSION).then_some(line)
    }
}

fn check(text: &[u8]) -> String {
    Digest::of_bytes(text).hex()[..CHECK_LEN].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_one_with_any_other_byte_does_not() {
        let key = Digest::of_bytes(b"job");
        let line = Line::Started {
            key,
            name: "job".parse().unwrap(),
            run_id: "a\"} ,\"check\":\"".to_owned(),
            script: key,
            run: "r".to_owned(),
            attempt: 2,
            at: "2026-01-01T00:00:00Z".to_owned(),
        };
        for line in [line, Line::Unknown { key }, Line::Fenced, Line::Lost { why: "gone".to_owned() }] {
            let encoded = line.encode().unwrap();
            let encoded = encoded.strip_suffix(b"\n").unwrap();
            assert_eq!(Line::decode(encoded), Some(line));
            for at in 0..encoded.len() {
                let mut damaged = encoded.to_vec();
                damaged[at] ^= 1;
                assert_eq!(Line::decode(&damaged), None, "byte {at}");
                assert_eq!(Line::decode(&encoded[..at]), None, "cut at {at}");
            }
        }
    }
}
