//! A probe that asks a web server.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock},
};

use agent_model::HttpScheme;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::tcp;

/// Asks for the path, and is content with an answer from 200 to 399.
pub(super) async fn ask(
    address: SocketAddr,
    port: u16,
    path: &str,
    scheme: HttpScheme,
) -> Result<(), String> {
    let connection = tcp::connect(address, port).await?;
    let status = match scheme {
        HttpScheme::Http => get(connection, port, path).await?,
        HttpScheme::Https => {
            let connector = TlsConnector::from(tls()?);
            let host = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
            let connection =
                connector.connect(host, connection).await.map_err(|error| format!("port {port}: {error}"))?;
            get(connection, port, path).await?
        }
    };
    match status.as_u16() {
        200..400 => Ok(()),
        _ => Err(format!("GET {path} on port {port} is answered with {status}")),
    }
}

async fn get(
    connection: impl AsyncRead + AsyncWrite + Unpin + Send,
    port: u16,
    path: &str,
) -> Result<StatusCode, String> {
    let failed = |error: &dyn std::fmt::Display| format!("GET {path} on port {port}: {error}");
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(connection)).await.map_err(|error| failed(&error))?;
    let request = Request::get(path)
        .header(header::HOST, format!("localhost:{port}"))
        .header(header::USER_AGENT, concat!("harmony-agent/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let mut answer = pin!(sender.send_request(request));
    // The connection moves the bytes; once it has ended, the answer is there or never will be.
    let answer = tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    };
    answer.map(|answer| answer.status()).map_err(|error| failed(&error))
}

fn tls() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// Takes every certificate, as the probes of Kubernetes do: it is asked whether a server answers, not
/// who it is, and a certificate for the loopback address is rare.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
