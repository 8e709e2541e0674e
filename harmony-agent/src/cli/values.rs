//! The values of flags and settings that take more than a word to read.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

const SECOND: Duration = Duration::from_secs(1);

/// An interval of a timer: at least a second, at most a week.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    within(text, SECOND, 7, "")
}

/// How long an answer is waited for: at least a second, at most a year.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    within(text, SECOND, 366, "; leave it out to wait as long as it takes")
}

/// How long something is kept: at most a year, and no time at all is a time.
pub(super) fn retention(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, 366, "")
}

/// How long a pause may last: at least a second, at most 30 days.
pub(super) fn pause_duration(text: &str) -> Result<Duration, String> {
    within(text, SECOND, 30, "; leave it out for a pause that somebody has to end")
}

/// A time of any length.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 30s, 10m, 12h or 7days"))
}

/// A time from `shortest` to so many days; `otherwise` is what to do for one that is out of these bounds.
fn within(text: &str, shortest: Duration, days: u32, otherwise: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let duration = duration(text)?;
    if (shortest..=DAY * days).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("must be between {}s and {days}days{otherwise}", shortest.as_secs()))
    }
}

pub(super) fn optional_interval<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    interval(&text).map(Some).map_err(serde::de::Error::custom)
}

pub(super) fn optional_retention<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    retention(&text).map(Some).map_err(serde::de::Error::custom)
}

/// A path in the configuration file, which the service and whoever works on the device read in different folders.
pub(super) fn optional_absolute_path<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.is_absolute() {
        return Ok(Some(path));
    }
    Err(serde::de::Error::custom(format!(
        "the path {path:?} is relative, so that service and commands would each look for it somewhere else; write it \
         from / on"
    )))
}

pub(super) fn one_or_many<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or a list of strings")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    let given = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    };
    // As on the command line, where each may be several.
    Ok(given.iter().flat_map(|one| one.split(',')).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        for (parse, shortest, longest, bounds) in [
            (interval as fn(&str) -> _, "1s", "7days", "between 1s and 7days"),
            (patience, "1s", "366days", "between 1s and 366days; leave it out"),
            (retention, "0s", "366days", "between 0s and 366days"),
            (pause_duration, "1s", "30days", "between 1s and 30days; leave it out"),
        ] {
            for text in [shortest, "90s", longest] {
                assert_eq!(parse(text).ok(), humantime::parse_duration(text).ok(), "{text:?} of {bounds}");
            }
            let error = parse(&format!("{longest} 1s")).unwrap_err();
            assert!(error.contains(bounds), "{error}");
            for text in ["", "5", "soon"] {
                let error = parse(text).unwrap_err();
                assert!(error.contains("write it like"), "{text:?}: {error}");
            }
        }
        for parse in [interval, patience, pause_duration] {
            assert!(parse("10ms").is_err_and(|error| error.contains("between 1s")));
        }
        assert_eq!(duration("3years").ok(), humantime::parse_duration("3years").ok());
    }
}
