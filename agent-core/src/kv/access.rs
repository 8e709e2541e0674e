//! How anybody gets in: which servers, as whom, and what both sides prove with certificates.
//!
//! The device and the platform connect to the same servers, so they do it by the same rules: no connection is
//! made in the clear where any address or file asks for TLS, not even to a server that another one told of.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use async_nats::{ConnectOptions, ServerAddr};

use super::{
    server_address::{InvalidServerAddress, server_addresses},
    tls::{InvalidTlsFile, Tls},
    url_login::{log_in_as_in, without_login},
};

/// Where NATS is and how to get in.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The servers, `nats://[USER:PASSWORD@]HOST[:PORT]`, `tls://…` or `wss://…`; the port is 4222 unless given, and
    /// 443 for `wss`. They are one cluster: any of them will do, with the same login.
    pub urls: Vec<String>,
    /// Who connects.
    pub login: Login,
    /// How both sides prove who they are.
    pub tls: Tls,
}

/// Who connects. `Debug` shows no secret.
#[derive(Clone, Default)]
pub enum Login {
    /// Whoever the URLs say, or nobody in particular.
    #[default]
    AsInUrls,
    /// The user of a credentials file, which holds its JWT and its seed, as `nsc generate creds` writes it.
    Credentials(PathBuf),
    /// The key whose seed is in this file.
    NKey(PathBuf),
    /// A user with a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// Whoever has this token.
    Token(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsInUrls => f.write_str("AsInUrls"),
            Self::Credentials(path) => f.debug_tuple("Credentials").field(path).finish(),
            Self::NKey(path) => f.debug_tuple("NKey").field(path).finish(),
            Self::Password { user, .. } => f.debug_tuple("Password").field(user).finish(),
            Self::Token(_) => f.write_str("Token"),
        }
    }
}

/// Why a connection cannot even be tried. Only other settings help; a server that is out of reach is no error.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is no URL.
    #[error("no NATS server is given: give at least one URL, for example nats://HOST:4222")]
    NoUrl,
    /// A URL cannot be used.
    #[error(transparent)]
    Address(#[from] InvalidServerAddress),
    /// Some are spoken to through WebSockets and others are not.
    #[error("the addresses of the NATS servers mix wss:// with others: give all of them as wss://, or none")]
    MixedSchemes,
    /// What is needed to log in cannot be used.
    #[error("cannot log in with {path}: give a readable file with {wanted}", path = path.display())]
    Login {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// A file for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] InvalidTlsFile),
}

/// Everything that connecting takes.
pub struct Entrance {
    /// The servers, without a login.
    pub servers: Vec<ServerAddr>,
    /// The login and TLS.
    pub options: ConnectOptions,
}

impl Access {
    /// Reads what connecting takes: the addresses, and the files.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn open(&self) -> Result<Entrance, AccessError> {
        let servers = server_addresses(&self.urls)?;
        let web_sockets = servers.iter().filter(|server| server.is_websocket()).count();
        match servers.len() {
            0 => return Err(AccessError::NoUrl),
            all if web_sockets != 0 && web_sockets != all => return Err(AccessError::MixedSchemes),
            _ => {}
        }
        let mut options = match &self.login {
            Login::AsInUrls => log_in_as_in(&servers),
            Login::Credentials(path) => {
                ConnectOptions::new().credentials_file(path).await.map_err(|source| AccessError::Login {
                    path: path.clone(),
                    wanted: "a user's JWT and its seed, as the platform issued it",
                    source,
                })?
            }
            Login::NKey(path) => ConnectOptions::with_nkey(seed(path)?),
            Login::Password { user, password } => {
                ConnectOptions::with_user_and_password(user.clone(), password.clone())
            }
            Login::Token(token) => ConnectOptions::with_token(token.clone()),
        };
        if servers.iter().any(|server| matches!(server.scheme(), "tls" | "wss")) {
            options = options.require_tls(true);
        }
        if web_sockets != 0 {
            // They are told without a scheme, and the client would speak plain NATS at their ports.
            options = options.ignore_discovered_servers();
        }
        let options = self.tls.secure(options)?;
        Ok(Entrance { servers: servers.into_iter().map(without_login).collect(), options })
    }
}

/// The seed in a file, in which it may be between other lines, as `nk` and `nsc` decorate it.
fn seed(path: &Path) -> Result<String, AccessError> {
    let failed = |source| AccessError::Login { path: path.to_owned(), wanted: "the seed of an NKey", source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let is_seed = |word: &&str| nkeys::KeyPair::from_seed(word).is_ok();
    let seed = text.split_whitespace().find(is_seed).map(str::to_owned);
    seed.ok_or_else(|| failed(io::Error::new(io::ErrorKind::InvalidData, "it has none")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(urls: &[&str]) -> Access {
        Access { urls: urls.iter().map(|url| (*url).to_owned()).collect(), ..Access::default() }
    }

    async fn refusal(access: Access) -> String {
        access.open().await.err().expect("it was let in").to_string()
    }

    #[tokio::test]
    async fn settings_that_no_server_could_satisfy_are_refused_by_name() {
        assert!(matches!(to(&[]).open().await, Err(AccessError::NoUrl)));
        assert!(matches!(to(&["wss://a", "tls://b"]).open().await, Err(AccessError::MixedSchemes)));

        let folder = tempfile::tempdir().unwrap();
        let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
        fs::write(&empty, "").unwrap();
        for path in [missing, empty] {
            for login in [Login::Credentials(path.clone()), Login::NKey(path.clone())] {
                let refusal = refusal(Access { login, ..to(&["nats://a"]) }).await;
                assert!(refusal.contains(path.to_str().unwrap()), "{refusal}");
            }
        }
    }

    #[tokio::test]
    async fn one_address_with_tls_has_all_connections_made_with_it() {
        for (urls, required) in [
            (&["nats://a"][..], false),
            (&["nats://a", "tls://b"], true),
            (&["tls://a"], true),
            (&["wss://a", "wss://b"], true),
        ] {
            let options = format!("{:?}", to(urls).open().await.unwrap().options);
            assert!(options.contains(&format!("\"tls_required\": {required}")), "{urls:?}: {options}");
        }
    }

    #[tokio::test]
    async fn a_login_leaves_the_address_that_it_was_given_in_and_is_not_shown() {
        let access = to(&["wss://me:secret@a.example/nats"]);
        let entrance = access.open().await.unwrap();
        assert_eq!(entrance.servers[0].as_url_str(), "wss://a.example/nats");

        let password = Login::Password { user: "me".into(), password: "secret".into() };
        for login in [password, Login::Token("secret".into())] {
            assert!(!format!("{login:?}").contains("secret"));
        }
    }

    #[tokio::test]
    async fn the_seed_of_a_key_is_found_between_the_lines_that_decorate_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, seed) = (folder.path().join("user.nk"), nkeys::KeyPair::new_user().seed().unwrap());
        fs::write(&path, format!("-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"))
            .unwrap();
        assert_eq!(super::seed(&path).unwrap(), seed);
    }
}
