//! Where the server is and how to get in: from the options, and from a context where one is named.

use fleet::{Access, Login, Tls};

use crate::{cli::Connection, failure::Failure, nats_context};

/// Where nothing says otherwise.
const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// What the options say; what they leave out is as in the context.
///
/// # Errors
/// The context cannot be used, or a certificate has no key.
pub(crate) fn of(connection: &Connection) -> Result<Access, Failure> {
    let Connection { nats_url, context, creds, tls_ca, tls_cert, tls_key, offline_after: _ } = connection;
    let context = context.as_deref().map(nats_context::read).transpose()?.unwrap_or_default();
    let url = nats_url.clone().or(context.url).unwrap_or_else(|| DEFAULT_URL.to_owned());
    let login = match (creds, nats_url) {
        (Some(creds), _) => Login::Credentials(creds.clone()),
        // Whoever names another server may name a login there, and nobody else is to see the context's.
        (None, Some(url)) if url.contains('@') => Login::AsInUrls,
        (None, _) => context.login,
    };
    let tls = Tls::of(
        tls_ca.clone().or(context.ca),
        tls_cert.clone().or(context.certificate),
        tls_key.clone().or(context.key),
    )
    .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(Access { urls: url.split(',').map(str::to_owned).collect(), login, tls })
}
