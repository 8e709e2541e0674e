//! An operator, its servers, and those who log in there with tokens.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use agent_model::{AgentId, UserKey};
use async_nats::{Client, ConnectOptions, Event};
use fleet::{Access, Endpoint, Fleet, Login};
use nats_operator::{
    FleetAccount, Folder, FolderError, OwnUser, accounts,
    claims::{Account, Claims},
    token,
};
use nkeys::KeyPair;
use tempfile::TempDir;

use crate::{
    eventually::{PATIENCE, eventually},
    nats_server::{NatsServer, Settings, Version, free_ports},
};

/// An operator with a folder, as `harmonyctl init --operator` makes it. Gone when dropped.
#[derive(Debug)]
pub struct Operator {
    folder: Folder,
    others: AtomicU32,
    temporary: TempDir,
}

impl Default for Operator {
    fn default() -> Self {
        Self::new()
    }
}

impl Operator {
    /// One with new keys.
    pub fn new() -> Self {
        let temporary = TempDir::with_prefix("harmony-operator-").unwrap();
        let (folder, _) = Folder::make(&temporary.path().join("operator")).unwrap();
        Self { folder, others: AtomicU32::new(0), temporary }
    }

    /// Its folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The settings of a server of this operator. Each has a place of its own for the accounts that are pushed to it.
    pub fn settings(&self) -> Settings {
        let kept = self.place("accounts");
        let accounts = fs::read_to_string(self.folder.accounts_configuration()).unwrap();
        Settings {
            configuration: format!(
                "{accounts}\nresolver {{ type: full, dir: {kept:?}, allow_delete: false, interval: \"2m\" }}"
            ),
            credentials_file: Some(self.folder.platform_credentials()),
            sync_always: true,
            ..Settings::default()
        }
    }

    /// Two servers of this operator that are one cluster, so that streams and a device can be on two.
    pub async fn pair(&self, version: Version) -> [NatsServer; 2] {
        cluster([(); 2].map(|()| Settings { version, ..self.settings() })).await
    }

    /// A connection of whoever looks after the servers.
    pub async fn system(&self, server: &NatsServer) -> Fleet {
        let login = Login::Credentials(self.folder.system_credentials());
        let access = Access { login, ..server.access() };
        Fleet::connect(&Endpoint { access, timeout: PATIENCE })
            .await
            .expect("the operator's servers let it in")
    }

    /// A user for the device of that id, with a key of its own.
    pub fn device(&self, id: &str) -> User {
        let key = KeyPair::new_user();
        let id = id.parse().expect("an agent id");
        let token = self.sign(&id, &public(&key)).unwrap();
        self.user(key, token)
    }

    /// The token of a device's user, as `harmonyctl agents approve` signs it.
    ///
    /// # Errors
    /// The key was revoked.
    pub fn sign(&self, id: &AgentId, key: &UserKey) -> Result<String, FolderError> {
        self.folder.try_lock().unwrap().expect("nobody else changes the folder").sign_device_user(id, key)
    }

    /// Another token for the key of that user, issued at that second of Unix time. Signed by hand.
    pub fn device_again(&self, id: &str, user: &User, issued_at: u64) -> User {
        self.signed_by_hand(id, KeyPair::from_seed(&user.key.seed().unwrap()).unwrap(), issued_at)
    }

    /// A user in the devices' account whom the operator would never sign: of any name. Signed by hand.
    pub fn misnamed(&self, name: &str) -> User {
        self.signed_by_hand(name, KeyPair::new_user(), 1)
    }

    /// Signed with the key from the folder.
    fn signed_by_hand(&self, name: &str, key: KeyPair, issued_at: u64) -> User {
        let signer = fs::read_to_string(self.folder.path().join("keys/device-users.nk")).unwrap();
        let signer = KeyPair::from_seed(signer.trim()).unwrap();
        let body = accounts::device_user(&self.folder.devices_account());
        let token = token::sign(&signer, &key.public_key(), name, issued_at, body).unwrap();
        self.user(key, token)
    }

    /// The token of the devices' account as the operator would never sign it: every device may write every entry.
    /// Signed by hand, with the key from the folder, and pushed.
    pub async fn push_lax_devices(&self, server: &NatsServer) {
        let signer = fs::read_to_string(self.folder.path().join("keys/operator.nk")).unwrap();
        let signer = KeyPair::from_seed(signer.trim()).unwrap();
        let account = self
            .folder
            .accounts()
            .unwrap()
            .into_iter()
            .find(|of| of.account == FleetAccount::Devices)
            .unwrap();
        let claims: Claims<Account> = token::verify(&account.token, &signer.public_key()).unwrap();
        let mut body = claims.nats;
        body.signing_keys[0].template.publish.allow.push("$KV.>".to_owned());
        let issued_at = claims.registered.issued_at + 1;
        let token = token::sign(&signer, &account.id, "DEVICES", issued_at, body).unwrap();
        let login = ConnectOptions::with_credentials_file(self.folder.system_credentials()).await.unwrap();
        let system = login.connect(server.url()).await.unwrap();
        let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", account.id);
        let answer = system.request(subject, token.into()).await.unwrap();
        assert!(String::from_utf8_lossy(&answer.payload).contains("200"), "{answer:?}");
    }

    /// Whoever has the bootstrap credentials.
    pub fn newcomer(&self) -> User {
        self.copy_of(OwnUser::Bootstrap)
    }

    /// Whoever has a copy of the credentials that the folder has of this user now.
    pub fn copy_of(&self, user: OwnUser) -> User {
        let file = self.place("creds");
        fs::copy(self.folder.credentials(user), &file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let seed = text.lines().find(|line| line.starts_with("SU")).expect("the seed of a user is there");
        let inbox = if user == OwnUser::Bootstrap { accounts::ENROLL_INBOX } else { "" };
        User { key: KeyPair::from_seed(seed).unwrap(), inbox: inbox.to_owned(), file }
    }

    fn user(&self, key: KeyPair, token: String) -> User {
        let file = self.place("creds");
        let seed = key.seed().unwrap();
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        fs::write(&file, text).unwrap();
        User { key, inbox: String::new(), file }
    }

    /// A path that nothing has yet.
    fn place(&self, what: &str) -> PathBuf {
        let number = self.others.fetch_add(1, Ordering::Relaxed);
        self.temporary.path().join(format!("{number}.{what}"))
    }
}

/// Servers that are one cluster.
pub async fn cluster<const N: usize>(settings: [Settings; N]) -> [NatsServer; N] {
    let routes: [u16; N] = free_ports();
    let all = routes.map(|port| format!("\"nats-route://127.0.0.1:{port}\"")).join(", ");
    let mut number = 0;
    let mut servers = settings.map(|settings| {
        let listen = format!("127.0.0.1:{}", routes[number]);
        number += 1;
        let cluster = format!("cluster {{ name: \"cluster\", listen: {listen:?}, routes: [{all}] }}");
        NatsServer::prepare(Settings {
            configuration: format!("{}\n{cluster}", settings.configuration),
            ..settings
        })
    });
    for server in &mut servers {
        server.launch().await;
    }
    for server in &servers {
        server.assert_it_answers().await;
    }
    let client = servers[0].connect().await;
    eventually("they have a leader", async || {
        let answer = client.request("$JS.API.INFO", "".into()).await.map_err(|error| error.to_string())?;
        let info = String::from_utf8_lossy(&answer.payload).into_owned();
        if info.contains("\"error\"") { Err(info) } else { Ok(()) }
    })
    .await;
    servers
}

/// Somebody who logs in with a token.
pub struct User {
    key: KeyPair,
    inbox: String,
    file: PathBuf,
}

impl User {
    /// Its credentials file.
    pub fn credentials_file(&self) -> &Path {
        &self.file
    }

    /// Its public key.
    pub fn key(&self) -> UserKey {
        public(&self.key)
    }

    /// Has its answers at the inboxes of that prefix.
    #[must_use]
    pub fn with_inbox(self, prefix: &str) -> Self {
        Self { inbox: prefix.to_owned(), ..self }
    }

    /// Connects by plain NATS, as anybody could who has the credentials.
    ///
    /// # Errors
    /// The server lets it not in.
    pub async fn connect(&self, server: &NatsServer) -> Result<Connected, async_nats::ConnectError> {
        let options = ConnectOptions::with_credentials_file(&self.file).await.expect("it was just written");
        connect(options, &self.inbox, server).await
    }

    /// Whether it is let in. A server that is busy, and not of that opinion, is no answer.
    pub async fn is_let_in(&self, server: &NatsServer) -> bool {
        match self.connect(server).await {
            Ok(_) => true,
            Err(error) => {
                let words = error.to_string().to_lowercase();
                assert!(words.contains("authorization violation"), "{words}");
                false
            }
        }
    }
}

/// Connects with these options, and notes what the server says.
///
/// # Errors
/// The server lets it not in.
pub async fn connect(
    options: ConnectOptions,
    inbox: &str,
    server: &NatsServer,
) -> Result<Connected, async_nats::ConnectError> {
    let said = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&said);
    let options = options.connection_timeout(PATIENCE).event_callback(move |event| {
        let words = match event {
            Event::ServerError(error) => error.to_string(),
            event => event.to_string(),
        };
        noted.lock().unwrap().push(words);
        std::future::ready(())
    });
    let options = if inbox.is_empty() { options } else { options.custom_inbox_prefix(inbox) };
    Ok(Connected { client: options.connect(server.url()).await?, said })
}

/// A connection, and what the server said to it.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The connection.
    pub client: Client,
    said: Arc<Mutex<Vec<String>>>,
}

impl Connected {
    /// All that the server said so far, and what became of the connection.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Waits until the server has put it out.
    pub async fn was_put_out(&self) {
        eventually("the server has put it out", async || {
            let said = self.said().join("\n").to_lowercase();
            if said.contains("revoked") || said.contains("disconnected") { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// Waits until the server has told of a violation with each of these subjects.
    pub async fn was_forbidden(&self, subjects: &[String]) {
        eventually("the server has forbidden all", async || {
            let said = self.said();
            let missing = |subject: &&String| {
                let quoted = format!("\"{subject}\"");
                !said.iter().any(|said| said.to_lowercase().contains("violation") && said.contains(&quoted))
            };
            match subjects.iter().find(missing) {
                None => Ok(()),
                Some(subject) => Err(format!("it said nothing of {subject}: {said:#?}")),
            }
        })
        .await;
    }
}

fn public(key: &KeyPair) -> UserKey {
    key.public_key().parse().expect("it is a user's")
}
