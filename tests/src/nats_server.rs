//! A private nats-server.

use std::{
    fs,
    net::TcpListener,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};

use fleet::{Access, Login, Tls};
use rand::RngExt as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    certificates::Certificates,
    eventually::{PATIENCE, eventually},
    folder_copy::copy_folder,
    network::Host,
    process::Process,
};

/// How a server is set up, besides JetStream with a store of its own.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// More lines of its configuration file: users, permissions, a cluster.
    pub configuration: String,
    /// Whether each write is synced before it is acknowledged; else the server's default of two
    /// minutes holds.
    pub sync_always: bool,
    /// Name and password of a user who may look at everything, where `configuration` asks for one.
    pub credentials: Option<(&'static str, &'static str)>,
    /// The credentials file of such a user, where accounts are JWTs.
    pub credentials_file: Option<PathBuf>,
    /// With what TLS is spoken, by everybody and by WebSockets too; a client has to show a certificate.
    pub certificates: Option<Arc<Certificates>>,
    /// Which release of the server.
    pub version: Version,
    /// Where it is.
    pub place: Place,
    /// How often it asks who is silent, client or server, for a sign of life. Who gives none until the next time is given
    /// up. Else the server's default holds, some minutes.
    pub ping_interval: Option<Duration>,
    /// What streams may take up on its disk, as its configuration has it; else more than any test needs.
    pub max_file: Option<&'static str>,
}

/// Where a server is.
#[derive(Debug, Clone, Default)]
pub enum Place {
    /// Where the test is, for those alone who are there too.
    #[default]
    Loopback,
    /// Where the test is, for hosts as well. Only in a network of the test's own.
    AllAddresses,
    /// On that host.
    Host(Host),
}

/// A release of nats-server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// The one that the project works with.
    #[default]
    Pinned,
    /// The oldest one that `scripts/nats-server` knows of and the wire contract allows.
    Oldest,
}

impl Version {
    /// Its name for `scripts/nats-server`.
    fn name(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Oldest => "2.12.8",
        }
    }
}

/// What a server had stored. Gone when dropped.
#[derive(Debug)]
pub struct Backup(TempDir);

/// A server on a free port of the loopback interface, with its own folder. Gone when dropped.
#[derive(Debug)]
pub struct NatsServer {
    // Before the folder, so that the process is gone when the folder goes.
    process: Option<Process>,
    settings: Settings,
    name: String,
    port: Option<u16>,
    web_socket_port: Option<u16>,
    folder: TempDir,
}

impl NatsServer {
    /// Starts a server and waits until it answers.
    pub async fn start(settings: Settings) -> Self {
        let mut server = Self::prepare(settings);
        server.start_again().await;
        server
    }

    /// A server that does not run yet.
    pub fn prepare(settings: Settings) -> Self {
        let folder = TempDir::with_prefix("harmony-nats-").unwrap();
        // The folder's name is unique, so the server's is: a test never talks to another's server.
        let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        Self { process: None, settings, name, port: None, web_socket_port: None, folder }
    }

    /// Listens on that port. Else it gets one at its first start, which is as good as long as it is not away.
    #[must_use]
    pub fn on_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The name that it goes by among servers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// Where it listens; the same port after each restart.
    pub fn port(&self) -> u16 {
        self.port.expect("the server was started")
    }

    /// Where it listens for WebSockets, which it does where it has certificates.
    pub fn web_socket_port(&self) -> u16 {
        self.web_socket_port.expect("the server was started with certificates")
    }

    /// Its URL, without credentials.
    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.address(), self.port())
    }

    /// Where others reach it.
    pub fn address(&self) -> &str {
        match &self.settings.place {
            Place::Loopback | Place::AllAddresses => "127.0.0.1",
            Place::Host(host) => host.address(),
        }
    }

    /// Its URL, with the credentials of the user who may look at everything, if one is needed.
    pub fn url_with_credentials(&self) -> String {
        match self.settings.credentials {
            Some((user, password)) => {
                format!("nats://{user}:{password}@{}:{}", self.address(), self.port())
            }
            None => self.url(),
        }
    }

    /// How the user who may look at everything gets in.
    pub fn access(&self) -> Access {
        let login = self.settings.credentials_file.clone().map_or(Login::AsInUrls, Login::Credentials);
        let tls = self.settings.certificates.as_ref().map_or_else(Tls::default, |certificates| {
            let [certificate, key] = certificates.client();
            Tls::of(Some(certificates.authority()), Some(certificate), Some(key)).expect("it has a key")
        });
        Access { urls: vec![self.url_with_credentials()], login, tls }
    }

    /// A client with every right that the configuration gives anyone.
    pub async fn connect(&self) -> async_nats::Client {
        let options = match (self.settings.credentials, &self.settings.credentials_file) {
            (Some((user, password)), _) => {
                async_nats::ConnectOptions::with_user_and_password(user.into(), password.into())
            }
            (None, Some(file)) => {
                async_nats::ConnectOptions::with_credentials_file(file).await.expect("the operator wrote it")
            }
            (None, None) => async_nats::ConnectOptions::new(),
        };
        let options = match &self.settings.certificates {
            Some(certificates) => {
                let [certificate, key] = certificates.client();
                options
                    .add_root_certificates(certificates.authority())
                    .add_client_certificate(certificate, key)
            }
            None => options,
        };
        // It may be busy with all that connect with us.
        let options = options.connection_timeout(PATIENCE);
        options.connect(self.url()).await.expect("a running server can be connected to")
    }

    /// Starts it after [`stop`](Self::stop) or [`kill`](Self::kill), on its port and with what it
    /// had stored.
    pub async fn start_again(&mut self) {
        self.launch().await;
        self.assert_it_answers().await;
    }

    /// Starts the process and waits for its ports, without asking it anything: a member of a
    /// cluster answers only when the others run too.
    pub(crate) async fn launch(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let ports = self.folder.path().join("ports");
        if ports.exists() {
            fs::remove_dir_all(&ports).unwrap();
        }
        fs::create_dir(&ports).unwrap();
        let configuration = self.folder.path().join("nats.conf");
        fs::write(&configuration, self.configuration(&ports)).unwrap();
        let program = program(self.settings.version).display().to_string();
        let mut command = match &self.settings.place {
            Place::Loopback | Place::AllAddresses => Vec::new(),
            Place::Host(host) => host.launcher(),
        };
        command.extend([program, "--config".to_owned(), configuration.display().to_string()]);
        let mut process = Process::start(&self.name, &command, &[], &self.log_file()).unwrap();
        let ports_file = ports.join(format!("nats-server_{}.ports", process.id()));
        let with_web_sockets = self.settings.certificates.is_some();
        let (port, web_socket_port) = eventually("the server listens", async || {
            if let Some(status) = process.ended() {
                panic!("nats-server ended at its start: {status}\n{}", process.log_tail());
            }
            let text = fs::read(&ports_file).map_err(|error| error.to_string())?;
            let ports: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            let port = |of: &str| {
                let url = ports[of][0].as_str().ok_or_else(|| format!("no port yet for {of}"))?;
                url.rsplit(':').next().and_then(|port| port.parse().ok()).ok_or_else(|| url.to_owned())
            };
            Ok::<_, String>((port("nats")?, with_web_sockets.then(|| port("websocket")).transpose()?))
        })
        .await;
        (self.port, self.web_socket_port) = (Some(port), web_socket_port);
        self.process = Some(process);
    }

    /// Makes sure that this is the server that answers on the port.
    pub(crate) async fn assert_it_answers(&self) {
        let client = self.connect().await;
        assert_eq!(client.server_info().server_name, self.name, "another server answered");
    }

    /// Stops it in good order.
    pub async fn stop(&mut self) {
        let process = self.process.take().expect("the server runs");
        process.terminate().await;
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process.take().expect("the server runs").kill();
    }

    /// Lets it do nothing until [`resume`](Self::resume). Whoever is connected is not told.
    pub fn pause(&mut self) {
        self.process.as_mut().expect("the server runs").pause();
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.process.as_mut().expect("the server runs").resume();
    }

    /// Forgets all that was stored. Only while it does not run.
    pub fn empty_store(&mut self) {
        assert!(self.process.is_none(), "the server runs");
        fs::remove_dir_all(self.store()).unwrap();
    }

    /// A copy of all that is stored. Only while it does not run.
    pub fn back_up(&self) -> Backup {
        assert!(self.process.is_none(), "the server runs");
        let folder = TempDir::with_prefix("harmony-backup-").unwrap();
        copy_folder(&self.store(), folder.path());
        Backup(folder)
    }

    /// Has what was stored when the backup was made, and nothing else. Only while it does not run.
    pub fn restore(&mut self, backup: &Backup) {
        self.empty_store();
        copy_folder(backup.0.path(), &self.store());
    }

    /// All that it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn configuration(&self, ports: &Path) -> String {
        let Self { name, settings, .. } = self;
        let address = match settings.place {
            Place::AllAddresses => "0.0.0.0",
            Place::Loopback | Place::Host(_) => self.address(),
        };
        let port = self.port.map_or("-1".to_owned(), |port| port.to_string());
        let store = self.store();
        let pings = settings.ping_interval.map_or_else(String::new, |interval| {
            format!("ping_interval: \"{}ms\"\nping_max: 1\n", interval.as_millis())
        });
        let sync = if settings.sync_always { "sync_interval: always" } else { "" };
        let tls = settings.certificates.as_ref().map_or_else(String::new, |certificates| {
            let ([certificate, key], authority) = (certificates.server(), certificates.authority());
            let web_socket_port = self.web_socket_port.map_or("-1".to_owned(), |port| port.to_string());
            let tls = format!(
                "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {authority:?}, verify: true }}"
            );
            format!("{tls}\nwebsocket {{ listen: \"{address}:{web_socket_port}\", {tls} }}\n")
        });
        // Bounds are those of the test, not of the disk it happens to run on.
        let max_file = settings.max_file.unwrap_or("64GB");
        format!(
            "server_name: {name:?}\nlisten: \"{address}:{port}\"\nports_file_dir: {ports:?}\n\
             jetstream {{ store_dir: {store:?}, max_mem: 256MB, max_file: {max_file}, {sync} }}\n{tls}{pings}{}\n",
            settings.configuration
        )
    }
}

/// The server's binary, of that version; fetched once where need be.
pub fn program(version: Version) -> &'static Path {
    static PINNED: OnceLock<PathBuf> = OnceLock::new();
    static OLDEST: OnceLock<PathBuf> = OnceLock::new();
    let program = match version {
        Version::Pinned => &PINNED,
        Version::Oldest => &OLDEST,
    };
    program.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/nats-server");
        let output = Command::new(&script).arg(version.name()).output().expect("scripts/nats-server runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "no nats-server to test with:\n{said}");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    })
}

/// Below those that a system gives to whoever connects: while a server is away, nobody is given its port.
const PORTS: Range<u16> = 10_000..32_000;

/// Ports that nobody listens on at the moment.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listen = || loop {
        let port = rand::rng().random_range(PORTS);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener;
        }
    };
    // All are held until all are known, so that none is given twice.
    let listeners = [(); N].map(|()| listen());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
