//! Which servers are safe to provision.

/// The oldest servers without CVE-2026-33249, by which a device writes into another's entry.
const OLDEST_SERVER: ServerVersion = ServerVersion(2, 12, 6);
const OLDEST_SERVER_ON_2_11: ServerVersion = ServerVersion(2, 11, 15);

/// A server's release; what follows a hyphen or plus sign does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerVersion(u64, u64, u64);

impl ServerVersion {
    /// Reads `2.12.8` and `2.15.0-RC.1` alike.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let release = text.trim_start_matches('v').split(['-', '+']).next()?;
        let mut numbers = release.split('.').map(|number| number.parse().ok());
        Some(Self(numbers.next()??, numbers.next()??, numbers.next()??))
    }

    /// Whether the server has no known hole by which one device writes into another's entry.
    pub(super) fn is_safe(self) -> bool {
        let on_2_11 = (self.0, self.1) == (2, 11);
        self >= OLDEST_SERVER || (on_2_11 && self >= OLDEST_SERVER_ON_2_11)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_with_the_hole_are_refused_and_the_others_are_not() {
        let is_safe = |text| ServerVersion::parse(text).is_some_and(ServerVersion::is_safe);
        for version in ["2.12.6", "2.12.8", "2.15.1", "2.13.0-RC.1", "2.11.15", "2.11.20", "3.0.0"] {
            assert!(is_safe(version), "{version} was refused");
        }
        for version in ["2.12.5", "2.12.0", "2.11.14", "2.10.99", "2.9.10", "1.99.99", "", "latest"] {
            assert!(!is_safe(version), "{version} was accepted");
        }
    }
}
