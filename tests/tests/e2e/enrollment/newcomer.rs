//! A device that has nothing but bootstrap credentials.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    agent::Agent,
    certificates::Certificates,
    eventually::eventually,
    process::{Process, built},
    site::Site,
};

/// A device on its first boot.
pub(crate) struct Newcomer {
    pub(crate) id: String,
    url: String,
    bootstrap: PathBuf,
    credentials: PathBuf,
    /// The settings of the agent that say how both sides prove who they are.
    tls: Vec<(&'static str, String)>,
    folder: TempDir,
}

/// A device that is asking.
pub(crate) struct Asking {
    process: Process,
    printed: PathBuf,
}

impl Newcomer {
    pub(crate) fn at(site: &Site, id: &str) -> Self {
        let folder = TempDir::with_prefix("harmony-newcomer-").unwrap();
        Self {
            id: id.to_owned(),
            url: site.server.url(),
            bootstrap: site.operator().folder().bootstrap_credentials(),
            credentials: folder.path().join("device.creds"),
            tls: Vec::new(),
            folder,
        }
    }

    /// The same, which goes by that URL and shows a certificate of this authority.
    pub(crate) fn over(self, url: String, certificates: &Certificates) -> Self {
        let [certificate, key] = certificates.client();
        let files = [("tls_ca", certificates.authority()), ("tls_cert", certificate), ("tls_key", key)];
        let tls = files.map(|(name, file)| (name, file.to_str().unwrap().to_owned())).into();
        Self { url, tls, ..self }
    }

    /// The same, whose credentials are to be in a file of its folder that is called so.
    pub(crate) fn with_credentials_in(self, name: &str) -> Self {
        Self { credentials: self.folder.path().join(name), ..self }
    }

    /// Where its credentials are to be.
    pub(crate) fn credentials(&self) -> PathBuf {
        self.credentials.clone()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Begins to ask, with these flags besides.
    pub(crate) fn ask(&self, flags: &[&str]) -> Asking {
        self.start("harmony-agent", flags, &[])
    }

    /// Begins to ask, and dies at the crash point after `passed` others.
    pub(crate) fn ask_to_crash_after(&self, passed: u32) -> Asking {
        let failpoints = ("FAILPOINTS".to_owned(), format!("crash={passed}*off->return"));
        self.start("harmony-agent-crash-points", &[], &[failpoints])
    }

    fn start(&self, program: &str, flags: &[&str], environment: &[(String, String)]) -> Asking {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut command = vec![text(&built(program)), "enroll".to_owned()];
        for (flag, value) in [
            ("--agent-id", self.id.clone()),
            ("--nats-url", self.url.clone()),
            ("--bootstrap-creds", text(&self.bootstrap)),
            ("--creds", text(&self.credentials())),
            ("--state-dir", text(&self.state_dir())),
        ] {
            command.extend([flag.to_owned(), value]);
        }
        for (name, file) in &self.tls {
            command.extend([format!("--{}", name.replace('_', "-")), file.clone()]);
        }
        command.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let printed = self.folder.path().join("printed");
        let _ = fs::remove_file(&printed);
        let process = Process::start(&self.id, &command, environment, &printed);
        Asking { process: process.expect("a program that exists can be started"), printed }
    }

    /// Asks to the end; the exit code, and all that was printed.
    pub(crate) async fn ask_to_the_end(&self, flags: &[&str]) -> (Option<i32>, String) {
        self.ask(flags).end().await
    }

    /// The key in its credentials: the public one, as their JWT says. They are for their owner alone.
    pub(crate) fn key_let_in(&self) -> String {
        let mode = fs::metadata(self.credentials()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "others can read the credentials");
        let seed = self.state_dir().join("enrollment.seed");
        assert!(!seed.exists(), "a second copy of the seed stays");
        self.claims()["sub"].as_str().unwrap().to_owned()
    }

    /// What the JWT in its credentials says.
    pub(crate) fn claims(&self) -> Value {
        let text = fs::read_to_string(self.credentials()).unwrap();
        let jwt = text.lines().find(|line| line.contains('.')).expect("there is a JWT");
        let claims = jwt.split('.').nth(1).unwrap();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
        serde_json::from_slice(&claims).unwrap()
    }

    /// The device, which runs with the credentials that it asked for.
    pub(crate) fn device(&self) -> Agent {
        let device = Agent::new(&self.id, &self.url);
        let device = self.tls.iter().fold(device, |device, (name, file)| device.with(name, file));
        device
            .with("creds", self.credentials().to_str().unwrap())
            .with("heartbeat_interval", "1s")
            .with("drift_interval", "1s")
    }
}

impl Asking {
    pub(crate) async fn end(mut self) -> (Option<i32>, String) {
        let status = self.process.end().await;
        (status.code(), fs::read_to_string(&self.printed).unwrap())
    }

    /// How it ended if it did: whether it was killed.
    pub(crate) fn was_killed(&mut self) -> Option<bool> {
        self.process.ended().map(tests::process::was_killed)
    }

    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.printed).unwrap_or_default()
    }

    /// Waits until it has printed this.
    pub(crate) async fn has_printed(&self, text: &str) {
        eventually(&format!("it has printed {text:?}"), async || {
            let printed = self.printed();
            if printed.contains(text) { Ok(()) } else { Err(printed) }
        })
        .await;
    }

    /// The key that it asks with, once it was asked.
    pub(crate) async fn key(&self) -> String {
        self.has_printed("asked; waiting").await;
        let printed = self.printed();
        let key = printed.split("with the key ").nth(1).expect("it prints its key");
        key.split_whitespace().next().unwrap().to_owned()
    }
}

/// A request, as any program could make it: by hand, from the wire contract.
pub(crate) fn request(
    subject_id: &str,
    asks_for: &str,
    key: &nkeys::KeyPair,
    signer: &nkeys::KeyPair,
) -> (String, String) {
    let request =
        serde_json::json!({"agent": asks_for, "publicKey": key.public_key(), "facts": {"serial": "SN-1"}});
    let request = request.to_string();
    let signed = format!("harmony-enrollment-request-v1\0{request}");
    let signature = STANDARD.encode(signer.sign(signed.as_bytes()).unwrap());
    let message = serde_json::json!({"request": STANDARD.encode(request), "signature": signature});
    (format!("enroll.{subject_id}"), message.to_string())
}
