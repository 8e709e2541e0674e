//! An authority of the test's own, and certificates that it vouches for.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

/// Certificates of an authority, of a server and of its clients, as PEM files with their keys beside them. Gone when
/// dropped.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Certificates {
    /// A new authority, which vouches for a server at this IP address.
    ///
    /// # Panics
    /// Where there is no `openssl`.
    pub fn for_server_at(address: &str) -> Self {
        let folder = TempDir::with_prefix("harmony-certificates-").unwrap();
        let script = format!(
            "new='openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'
             $new -subj /CN=authority -keyout authority.key -out authority.pem
             leaf=\"$new -CA authority.pem -CAkey authority.key -addext basicConstraints=critical,CA:FALSE\"
             $leaf -subj /CN=server -keyout server.key -out server.pem -addext subjectAltName=IP:{address}
             $leaf -subj /CN=client -keyout client.key -out client.pem"
        );
        let output = Command::new("sh").args(["-euc", &script]).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "no certificates: {}", String::from_utf8_lossy(&output.stderr));
        Self(folder)
    }

    /// The certificate of the authority.
    pub fn authority(&self) -> PathBuf {
        self.0.path().join("authority.pem")
    }

    /// The server's certificate and key.
    pub fn server(&self) -> [PathBuf; 2] {
        ["server.pem", "server.key"].map(|name| self.0.path().join(name))
    }

    /// A client's certificate and key.
    pub fn client(&self) -> [PathBuf; 2] {
        ["client.pem", "client.key"].map(|name| self.0.path().join(name))
    }
}
