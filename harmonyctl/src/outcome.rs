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

    #[test]
    fn of_several_documents_the_first_of_2_1_5_3_4_6_decides() {
        let by_precedence = [
            Outcome::Usage,
            Outcome::Error,
            Outcome::Conflict,
            Outcome::Rejected,
            Outcome::TimedOut,
            Outcome::Offline,
            Outcome::Done,
        ];
        assert_eq!(by_precedence.map(Outcome::code), [2, 1, 5, 3, 4, 6, 0]);
        for (i, stronger) in by_precedence.into_iter().enumerate() {
            for weaker in &by_precedence[i..] {
                assert_eq!(stronger.and(*weaker), stronger);
                assert_eq!(weaker.and(stronger), stronger);
            }
        }
    }
}
