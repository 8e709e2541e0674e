//! Exit codes (wire contract: Exit codes).

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything that was asked for; converged, when waiting.
    Done,
    /// Something went wrong that the other codes do not name.
    Error,
    /// Wrong arguments, or a document that no device could accept.
    Usage,
    /// The device refused the document, or failed to apply it.
    Rejected,
    /// `diff` found a difference.
    Differs,
    /// The device was online and did not get there in time.
    TimedOut,
    /// Someone else changed the entry meanwhile.
    Conflict,
    /// Written, but the device is offline.
    Offline,
    /// Ctrl-C while waiting.
    Interrupted,
}

/// Which outcome speaks for several documents: the first of these that occurred.
const PRECEDENCE: [Outcome; 8] = [
    Outcome::Interrupted,
    Outcome::Usage,
    Outcome::Error,
    Outcome::Conflict,
    Outcome::Rejected,
    Outcome::Differs,
    Outcome::TimedOut,
    Outcome::Offline,
];

impl Outcome {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Rejected | Self::Differs => 3,
            Self::TimedOut => 4,
            Self::Conflict => 5,
            Self::Offline => 6,
            Self::Interrupted => 130,
        }
    }

    /// The one of both that has precedence.
    pub(crate) fn and(self, other: Self) -> Self {
        PRECEDENCE.into_iter().find(|outcome| *outcome == self || *outcome == other).unwrap_or(Self::Done)
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        outcome.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::EXIT_CODES;

    #[test]
    fn of_several_documents_the_first_by_precedence_decides() {
        for (i, stronger) in PRECEDENCE.into_iter().enumerate() {
            for weaker in PRECEDENCE.into_iter().skip(i).chain([Outcome::Done]) {
                assert_eq!(stronger.and(weaker), stronger);
                assert_eq!(weaker.and(stronger), stronger);
            }
        }
        assert_eq!(Outcome::Done.and(Outcome::Done), Outcome::Done);
    }

    #[test]
    fn the_help_names_every_code_and_which_has_precedence() {
        let mut codes: Vec<String> = PRECEDENCE.iter().map(|outcome| outcome.code().to_string()).collect();
        codes.dedup();
        assert_eq!(codes, ["130", "2", "1", "5", "3", "4", "6"]);
        let sentence = format!("the first of {} that occurred", codes.join(", "));
        assert!(EXIT_CODES.contains(&sentence), "{sentence}");
        for code in codes {
            let line = format!("\n  {code}  ");
            assert!(EXIT_CODES.contains(&line), "{code}");
        }
    }
}
