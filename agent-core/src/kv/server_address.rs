//! Addresses of NATS servers, as people give them.

use async_nats::ServerAddr;

/// One of the given addresses cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "address number {position} of the NATS servers, {shown:?}, cannot be used: write nats://HOST:PORT, \
     tls://HOST:PORT or wss://HOST:PORT, several with commas between them, and a comma in a password as %2C"
)]
pub struct InvalidServerAddress {
    /// Which of those given, counted from 1.
    pub position: usize,
    /// What of it is no password for certain.
    pub shown: String,
}

/// Reads the addresses of the servers of one cluster, in the order given: `nats://`, `tls://` or
/// `wss://`, perhaps a login and `@`, a host and perhaps a port, which is 4222 otherwise, and 443
/// for `wss`.
///
/// # Errors
/// The first that cannot be used, for example an empty one. A login without a scheme can only be
/// the first: later ones look like the end of a password with a comma in it.
pub(super) fn server_addresses(
    given: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<ServerAddr>, InvalidServerAddress> {
    (1..)
        .zip(given)
        .map(|(position, text)| {
            let text = text.as_ref().trim();
            server_address(text)
                .filter(|_| position == 1 || text.contains("://") || !text.contains('@'))
                .ok_or_else(|| InvalidServerAddress { position, shown: without_login(text) })
        })
        .collect()
}

fn server_address(text: &str) -> Option<ServerAddr> {
    let address: ServerAddr = text.parse().ok()?;
    // What needs a WebSocket crosses somebody else's network: never in the clear, as with `ws`.
    (matches!(address.scheme(), "nats" | "tls" | "wss") && !address.host().is_empty()).then_some(address)
}

/// The scheme and, after an `@`, the host. Without an `@` nothing after the scheme is shown: it may
/// be the beginning of a login whose password has a comma in it.
fn without_login(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphabetic()) => {
            (format!("{scheme}://"), rest)
        }
        _ => (String::new(), text),
    };
    match rest.rsplit_once('@') {
        Some((_, server)) => format!("{scheme}…@{server}"),
        None if rest.is_empty() => scheme,
        None => format!("{scheme}…"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_accepted_with_and_without_scheme_login_and_port() {
        for given in [
            "nats://a",
            "nats://a:4222",
            "tls://a.example:4443",
            "wss://u:p@a.example/nats",
            "a:4222",
            "nats://u:p@[::1]:4222",
            "u:p@a",
            "nats://u:p@a, nats://u:p@b,c",
        ] {
            let addresses = server_addresses(given.split(',')).unwrap();
            assert_eq!(addresses.len(), given.split(',').count(), "{given:?}");
        }
    }

    #[test]
    fn whatever_else_is_refused_without_repeating_a_password() {
        for (given, position, shown) in [
            ("", 1, ""),
            ("nats://", 1, "nats://"),
            ("nats://a,,nats://b", 2, ""),
            ("http://u:secret@a", 1, "http://…@a"),
            ("ws://a", 1, "ws://…"),
            ("u:secret@a b", 1, "…@a b"),
            ("nats://u:secret@:x", 1, "nats://…@:x"),
            ("nats://u:s@secret@a:x", 1, "nats://…@a:x"),
            // A comma within the password, wherever it splits it.
            ("nats://u:sec,ret@a", 1, "nats://…"),
            ("nats://u:12,secret@a", 2, "…@a"),
            ("u:12,34@a", 2, "…@a"),
            ("u:secret://a b", 1, "…"),
        ] {
            let error = server_addresses(given.split(',')).unwrap_err();
            assert_eq!(error, InvalidServerAddress { position, shown: shown.to_owned() }, "{given:?}");
            assert!(!error.to_string().contains("sec"), "{error}");
        }
    }
}
