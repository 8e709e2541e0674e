//! The login in a server's URL, `nats://USER:PASSWORD@HOST` or `nats://TOKEN@HOST`, which other
//! NATS tools use and the client library leaves aside.

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// Options that log in as the first of `servers` that names a login says; without one, as nobody.
pub fn log_in_as_in(servers: &[ServerAddr]) -> ConnectOptions {
    let options = ConnectOptions::new();
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match servers.iter().find_map(|server| Some((server.username()?, server.password()))) {
        Some((user, Some(password))) => options.user_and_password(plain(user), plain(password)),
        Some((token, None)) => options.token(plain(token)),
        None => options,
    }
}
