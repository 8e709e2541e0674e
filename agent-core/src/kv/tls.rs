//! How the server and the device prove to one another who they are.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_nats::{
    ConnectOptions,
    rustls::pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

/// Files for TLS, in PEM. With any of them no connection is made without TLS, whatever the URL says.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Certificates of those who may vouch for the server; without any, those that the system trusts.
    pub ca: Option<PathBuf>,
    /// What the device shows a server that asks for a certificate.
    pub identity: Option<TlsIdentity>,
}

/// A certificate and the key to it.
#[derive(Debug, Clone)]
pub struct TlsIdentity {
    /// The device's certificate, and those that lead from it to one that the server knows.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Of a certificate and its key only one was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{given} needs {missing}")]
pub struct LoneTlsFile {
    /// The option that was given.
    pub given: &'static str,
    /// The one that belongs to it.
    pub missing: &'static str,
}

/// A file that TLS cannot do with.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path} for TLS: give a readable PEM file with {wanted}", path = path.display())]
pub struct InvalidTlsFile {
    /// The file.
    pub path: PathBuf,
    /// What it should hold.
    pub wanted: &'static str,
    /// What is wrong with it.
    #[source]
    pub source: io::Error,
}

impl Tls {
    /// With the files of the options `--tls-ca`, `--tls-cert` and `--tls-key`, wherever they were given.
    ///
    /// # Errors
    /// When a certificate has no key, or a key no certificate.
    pub fn of(
        ca: Option<PathBuf>,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Self, LoneTlsFile> {
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsIdentity { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(LoneTlsFile { given: "--tls-cert", missing: "--tls-key" }),
            (None, Some(_)) => return Err(LoneTlsFile { given: "--tls-key", missing: "--tls-cert" }),
        };
        Ok(Self { ca, identity })
    }

    /// Has a connection use the files. They are read now too, because the client reads them when it
    /// connects and would then try again for ever.
    pub(super) fn secure(&self, mut options: ConnectOptions) -> Result<ConnectOptions, InvalidTlsFile> {
        if let Some(ca) = &self.ca {
            holds_certificate(ca)?;
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let Some(TlsIdentity { certificate, key }) = &self.identity {
            holds_certificate(certificate)?;
            holds::<PrivateKeyDer<'_>>(key, "a private key")?;
            options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
        }
        Ok(options)
    }
}

fn holds_certificate(path: &Path) -> Result<(), InvalidTlsFile> {
    holds::<CertificateDer<'_>>(path, "a certificate")
}

fn holds<T: PemObject>(path: &Path, wanted: &'static str) -> Result<(), InvalidTlsFile> {
    let source = match T::from_pem_file(path) {
        Ok(_) => return Ok(()),
        Err(pem::Error::Io(error)) => error,
        Err(error) => io::Error::new(io::ErrorKind::InvalidData, error),
    };
    Err(InvalidTlsFile { path: path.to_owned(), wanted, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_nothing_for_tls_is_refused_by_name_before_a_connection_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, empty) = (folder.path().join("missing.pem"), folder.path().join("empty.pem"));
        std::fs::write(&empty, "").unwrap();
        for path in [missing, empty] {
            let identity = TlsIdentity { certificate: path.clone(), key: path.clone() };
            for tls in
                [Tls { ca: Some(path.clone()), identity: None }, Tls { ca: None, identity: Some(identity) }]
            {
                let error = tls.secure(ConnectOptions::new()).unwrap_err();
                assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            }
        }
    }
}
