//! The login in a server's URL, `nats://USER:PASSWORD@HOST` or `nats://TOKEN@HOST`, which other
//! NATS tools use and the client library leaves aside, or sends along to whatever a WebSocket leads through.

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// Options that log in as the first of `servers` that names a login says; without one, as nobody.
pub(super) fn log_in_as_in(servers: &[ServerAddr]) -> ConnectOptions {
    let options = ConnectOptions::new();
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match servers.iter().find_map(|server| Some((server.username()?, server.password()))) {
        Some((user, Some(password))) => options.user_and_password(plain(user), plain(password)),
        Some((token, None)) => options.token(plain(token)),
        None => options,
    }
}

/// The server alone.
pub(super) fn without_login(server: ServerAddr) -> ServerAddr {
    let mut url = server.clone().into_inner();
    // Only a URL without a host has no room for them, and there would be nothing to take away.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    ServerAddr::from_url(url).unwrap_or(server)
}
