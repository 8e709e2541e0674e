//! Points in time, as documents write them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A point in time in UTC, to the millisecond, written as RFC 3339: `2026-01-31T12:00:00.5Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(OffsetDateTime);

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a time: use RFC 3339, for example \"2026-01-31T12:00:00Z\"")]
pub struct InvalidTimestamp {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl Timestamp {
    /// The start of 1970, which a device without a set clock believes in.
    pub const UNIX_EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// What the machine's clock says. Loops get the time handed in and do not call this.
    pub fn now() -> Self {
        OffsetDateTime::now_utc().into()
    }

    /// The time `duration` later; the latest time there is when that overflows.
    pub fn saturating_add(self, duration: Duration) -> Self {
        let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
        self.0.saturating_add(duration).into()
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0 - earlier.0).unwrap_or(Duration::ZERO)
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(time: OffsetDateTime) -> Self {
        let time = time.to_offset(UtcOffset::UTC);
        Self(time.replace_nanosecond(u32::from(time.millisecond()) * 1_000_000).unwrap_or(time))
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(time: Timestamp) -> Self {
        time.0
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(Self::from)
            .map_err(|_| InvalidTimestamp { given: text.chars().take(80).collect() })
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only years outside of 0..=9999 cannot be written, and none of those can be read either.
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_any_offset_and_written_in_utc_to_the_millisecond() {
        let time: Timestamp = "2026-01-31T13:00:00.123456+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-01-31T12:00:00.123Z");
        for text in ["", "2026-01-31", "2026-01-31T12:00:00", "yesterday"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn arithmetic_never_overflows() {
        let far = Timestamp::now().saturating_add(Duration::MAX);
        assert!(far > Timestamp::now());
        let later = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_micros(1_500));
        assert_eq!(later.to_string(), "1970-01-01T00:00:00.001Z");
        assert_eq!(Timestamp::UNIX_EPOCH.since(Timestamp::now()), Duration::ZERO);
    }
}
