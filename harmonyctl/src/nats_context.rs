//! Contexts of the NATS command line: a server with the login and certificates for it, under a name.
//!
//! One is a JSON file `nats/context/NAME.json` in `$XDG_CONFIG_HOME` or `~/.config` (NATS ADR-21). What it says
//! beyond the server, the login and TLS concerns that command line alone, and unknown keys come with its newer
//! versions: both are passed over. A setting without which the connection would be another one is refused.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use fleet::Login;
use serde::Deserialize;

/// What a context says of a connection.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) url: Option<String>,
    pub(crate) login: Login,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    #[error("{name:?} is no name of a context")]
    Name { name: String },
    #[error("there is no folder for contexts: set HOME or XDG_CONFIG_HOME")]
    NoFolder,
    #[error("there is no context {name:?}: {known}", known = known_ones(known))]
    Unknown { name: String, known: Vec<String> },
    #[error("cannot read the context {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the context {} is not one of the NATS command line", path.display())]
    Format { path: PathBuf, source: serde_json::Error },
    #[error("the context {} sets {setting}, which harmonyctl cannot do: {remedy}", path.display())]
    Unsupported { path: PathBuf, setting: &'static str, remedy: &'static str },
}

fn known_ones(names: &[String]) -> String {
    match names {
        [] => "nor any other; `nats context add` makes one".to_owned(),
        names => format!("those that there are: {}", names.join(", ")),
    }
}

/// The file. An empty text is as good as none.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct ContextFile {
    url: String,
    user: String,
    password: String,
    token: String,
    creds: String,
    nkey: String,
    cert: String,
    key: String,
    ca: String,
    nsc: String,
    user_jwt: String,
    socks_proxy: String,
    jetstream_domain: String,
    jetstream_api_prefix: String,
    inbox_prefix: String,
    tls_first: bool,
}

/// The context of that name.
///
/// # Errors
/// See [`ContextError`].
pub(crate) fn read(name: &str) -> Result<Context, ContextError> {
    let folder = folder().ok_or(ContextError::NoFolder)?;
    read_in(&folder, name)
}

/// The names of all contexts, sorted.
pub(crate) fn names() -> Vec<String> {
    folder().map(|folder| names_in(&folder)).unwrap_or_default()
}

fn folder() -> Option<PathBuf> {
    let set = |variable| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let configuration = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(configuration.join("nats/context"))
}

fn names_in(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_contexts = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let mut names: Vec<String> =
        of_contexts.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

fn read_in(folder: &Path, name: &str) -> Result<Context, ContextError> {
    if name.is_empty() || name.contains("..") || name.contains('/') {
        return Err(ContextError::Name { name: name.to_owned() });
    }
    let path = folder.join(format!("{name}.json"));
    let text = fs::read(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ContextError::Unknown { name: name.to_owned(), known: names_in(folder) },
        _ => ContextError::File { path: path.clone(), source },
    })?;
    let file = serde_json::from_slice(&text)
        .map_err(|source| ContextError::Format { path: path.clone(), source })?;
    of(file, path)
}

fn of(file: ContextFile, path: PathBuf) -> Result<Context, ContextError> {
    let given = |text: &String| !text.is_empty();
    let unsupported = [
        ("nsc", given(&file.nsc), "give the file with --creds"),
        ("user_jwt", given(&file.user_jwt), "give a credentials file with --creds"),
        ("socks_proxy", given(&file.socks_proxy), "reach the server through wss:// or a tunnel"),
        ("jetstream_domain", given(&file.jetstream_domain), "connect to a server of that domain"),
        ("jetstream_api_prefix", given(&file.jetstream_api_prefix), "log in to the account itself"),
        ("inbox_prefix", given(&file.inbox_prefix), "log in as a user who may use _INBOX.>"),
        ("tls_first", file.tls_first, "use a port where the server speaks first"),
    ];
    if let Some((setting, _, remedy)) = unsupported.into_iter().find(|(_, set, _)| *set) {
        return Err(ContextError::Unsupported { path, setting, remedy });
    }
    // In the order in which the NATS command line looks at them.
    let login = if given(&file.user) {
        Login::Password { user: file.user, password: file.password }
    } else if given(&file.creds) {
        Login::Credentials(in_home(file.creds))
    } else if given(&file.nkey) {
        Login::NKey(in_home(file.nkey))
    } else if given(&file.token) {
        Login::Token(file.token)
    } else {
        Login::AsInUrls
    };
    let some = |text: String| (!text.is_empty()).then_some(text);
    Ok(Context {
        url: some(file.url),
        login,
        ca: some(file.ca).map(in_home),
        certificate: some(file.cert).map(in_home),
        key: some(file.key).map(in_home),
    })
}

/// A path, in which `~/` stands for the home folder.
fn in_home(path: String) -> PathBuf {
    let home = path.strip_prefix("~/").zip(env::var_os("HOME"));
    home.map_or_else(|| PathBuf::from(&path), |(rest, home)| Path::new(&home).join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, text: &str) -> Result<Context, ContextError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("platform.json"), text).unwrap();
        read_in(folder.path(), name)
    }

    #[test]
    fn a_context_is_read_as_the_nats_command_line_writes_it() {
        let text = r#"{
            "description": "", "url": "tls://a:4222,tls://b:4222", "socks_proxy": "", "token": "", "user": "",
            "password": "", "creds": "/etc/platform.creds", "nkey": "", "cert": "/c", "key": "/k", "ca": "~/ca.pem",
            "nsc": "", "jetstream_domain": "", "jetstream_api_prefix": "", "jetstream_event_prefix": "",
            "inbox_prefix": "", "user_jwt": "", "color_scheme": "", "tls_first": false, "new_one": {"a": 1}
        }"#;
        let context = written("platform", text).unwrap();
        assert_eq!(context.url.as_deref(), Some("tls://a:4222,tls://b:4222"));
        assert!(
            matches!(context.login, Login::Credentials(path) if path == Path::new("/etc/platform.creds"))
        );
        assert_eq!(context.certificate.as_deref(), Some(Path::new("/c")));
        let ca = context.ca.unwrap();
        assert!(ca.is_absolute() && ca.ends_with("ca.pem") && !ca.starts_with("~"), "{ca:?}");
    }

    #[test]
    fn each_way_to_log_in_is_known() {
        let login = |text: &str| written("platform", text).unwrap().login;
        assert!(matches!(login("{}"), Login::AsInUrls));
        assert!(matches!(login(r#"{"nkey": "/n"}"#), Login::NKey(_)));
        assert!(matches!(login(r#"{"token": "t"}"#), Login::Token(token) if token == "t"));
        let login = login(r#"{"user": "u", "password": "p", "creds": "/x"}"#);
        assert!(matches!(login, Login::Password { user, password } if user == "u" && password == "p"));
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_place_and_the_remedy() {
        for (name, text, words) in [
            ("../platform", "{}", "is no name"),
            ("", "{}", "is no name"),
            ("plattform", "{}", "those that there are: platform"),
            ("platform", "[", "platform.json"),
            ("platform", r#"{"url": 1}"#, "platform.json"),
            ("platform", r#"{"socks_proxy": "socks5://x"}"#, "socks_proxy"),
            ("platform", r#"{"tls_first": true}"#, "tls_first"),
        ] {
            let error = written(name, text).unwrap_err().to_string();
            assert!(error.contains(words), "{name:?} {text}: {error}");
        }
    }
}
