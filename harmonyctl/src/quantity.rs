//! Sizes as Kubernetes writes them, and lengths of time.

use std::time::Duration;

/// The longest time that a command waits.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Reads `10Gi`, `500M` or `1048576` as a number of bytes.
///
/// # Errors
/// What would be right, for a person.
pub(crate) fn parse_size(text: &str) -> Result<i64, String> {
    let bytes = agent_model::parse_size(text).and_then(|bytes| i64::try_from(bytes).ok());
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
        format!("{text:?} is not a size: use a number and one of Ki Mi Gi Ti k M G T, for example 10Gi")
    })
}

/// Reads how long to wait, as `90s` or `1h 30m`.
///
/// # Errors
/// What would be right, for a person.
pub(crate) fn parse_wait(text: &str) -> Result<Duration, String> {
    let wait = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if wait > LONGEST_WAIT { Err("wait for 30days at most".to_owned()) } else { Ok(wait) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_have_a_bound() {
        assert_eq!(parse_wait("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_wait("30days"), Ok(LONGEST_WAIT));
        for text in ["", "5", "30days 1s", "300000000000y", "99999999999999999999y", "-1s"] {
            assert!(parse_wait(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units_and_nothing_else_is() {
        assert_eq!(parse_size("10Gi"), Ok(10 << 30));
        assert_eq!(parse_size("500M"), Ok(500_000_000));
        assert_eq!(parse_size("7"), Ok(7));
        assert_eq!(parse_size("1.5Gi"), Ok(3 << 29));
        for text in ["", "Gi", "10GB", "-1", "0", "9999999999Ti", "8Ei", "10 Gi"] {
            assert!(parse_size(text).is_err(), "{text:?} was accepted");
        }
    }
}
