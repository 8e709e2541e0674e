//! How things are put to people.

use std::{fmt::Display, time::Duration};

use agent_model::{Generation, Timestamp};

/// What stands in a table where there is nothing.
pub(crate) const NOTHING: &str = "-";

/// A length of time with its greatest unit only: `45s`, `7m`, `3h`, `12d`.
pub(crate) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// When a device was heard of, and whether that is too long ago.
pub(crate) fn last_seen(seen: Option<Timestamp>, now: Timestamp, offline_after: Duration) -> String {
    match seen {
        None => "never".to_owned(),
        Some(seen) => {
            let silence = now.since(seen);
            let offline = if silence > offline_after { " (offline)" } else { "" };
            format!("{} ago{offline}", age(silence))
        }
    }
}

/// Most names that a message lists.
const MAX_NAMES: usize = 5;

/// Names with commas between; of many, the first and how many more there are.
pub(crate) fn some_of<T: Display>(names: &[T]) -> String {
    let first: Vec<String> = names.iter().take(MAX_NAMES).map(T::to_string).collect();
    match names.len().saturating_sub(MAX_NAMES) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// A generation, or the sign for none.
pub(crate) fn generation(generation: Option<Generation>) -> String {
    generation.map_or_else(|| NOTHING.to_owned(), |generation| generation.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_their_greatest_unit() {
        let told = |seconds| age(Duration::from_secs(seconds));
        assert_eq!([0, 119, 120, 7199, 7200, 172_800].map(told), ["0s", "119s", "2m", "119m", "2h", "2d"]);
    }

    #[test]
    fn of_many_names_the_first_are_listed() {
        assert_eq!(some_of(&["a", "b"]), "a, b");
        assert_eq!(some_of(&["a"; 7]), "a, a, a, a, a and 2 more");
    }

    #[test]
    fn a_device_silent_for_too_long_is_called_offline() {
        let now = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(301));
        let told = |seen| last_seen(seen, now, Duration::from_secs(300));
        assert_eq!(told(None), "never");
        assert_eq!(told(Some(now)), "0s ago");
        assert_eq!(told(Some(Timestamp::UNIX_EPOCH)), "5m ago (offline)");
    }
}
