//! TLS: whom to trust, and what went wrong told apart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::origin::Origin;
use crate::error::{ErrorKind, Failure};

/// Makes TLS connections. What it trusts is read when the first is made.
#[derive(Debug, Default)]
pub(super) struct Tls {
    ca_file: Option<PathBuf>,
    config: OnceCell<Result<Arc<ClientConfig>, Failure>>,
}

impl Tls {
    /// Trusts the certificates in that file alone, or else what the system trusts.
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, config: OnceCell::new() }
    }

    /// Shakes hands over an open connection.
    pub(super) async fn connect<S>(
        &self,
        stream: S,
        origin: &Origin,
    ) -> Result<TlsStream<S>, Failure>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let config = self.config.get_or_init(|| load(self.ca_file.clone())).await.clone()?;
        let name = ServerName::try_from(origin.bare_host().to_owned())
            .map_err(|_| failure(origin, "the host's name cannot be in a certificate"))?;
        TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| explain(origin, &error))
    }
}

/// The type that a direct connection has.
pub(super) type Direct = TlsStream<TcpStream>;

async fn load(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, Failure> {
    let loaded = tokio::task::spawn_blocking(move || match ca_file {
        Some(file) => trusting_file(&file),
        None => Ok(trusting_system()),
    });
    loaded.await.unwrap_or_else(|_| {
        Err(Failure::new(ErrorKind::Tls, "the trusted certificates could not be read"))
    })
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
}

fn trusting_system() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // A minimal system has no certificates at all: then the ones that came with natsync serve.
    let mut config = match rustls_platform_verifier::Verifier::new(provider) {
        Ok(verifier) => builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth(),
        Err(_) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(
                webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned(),
            );
            builder().with_root_certificates(roots).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn trusting_file(file: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let problem = |what: String| {
        Failure::new(ErrorKind::Tls, format!("`ca_file` {}: {what}", file.display()))
    };
    let pem = std::fs::read(file).map_err(|error| problem(format!("cannot be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| problem("is no PEM file".to_owned()))?;
        roots
            .add(certificate)
            .map_err(|_| problem("has a certificate that cannot be used".to_owned()))?;
    }
    if roots.is_empty() {
        return Err(problem("has no certificate".to_owned()));
    }
    let mut config = builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn failure(origin: &Origin, what: &str) -> Failure {
    Failure::new(ErrorKind::Tls, format!("no secure connection to {origin}: {what}"))
}

fn explain(origin: &Origin, error: &io::Error) -> Failure {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        let failure = failure(origin, "the connection was lost during the handshake");
        return Failure { kind: ErrorKind::Connect, ..failure };
    };
    match tls {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                failure(origin, "its certificate has expired")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                failure(origin, "its certificate is not valid yet")
                    .with_hint("is this machine's clock right?")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                failure(origin, "its certificate is for another host")
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                failure(origin, "its certificate has an unknown issuer")
                    .with_hint("`http: {ca_file: FILE}` trusts a certificate authority of your own")
            }
            CertificateError::Revoked => failure(origin, "its certificate was revoked"),
            _ => failure(origin, "its certificate is not acceptable"),
        },
        rustls::Error::InvalidMessage(_) => {
            failure(origin, "it does not speak TLS (plain HTTP on this port?)")
        }
        rustls::Error::AlertReceived(_) => failure(origin, "it refused the handshake"),
        rustls::Error::PeerIncompatible(_) => {
            failure(origin, "it speaks no version of TLS that is safe")
        }
        _ => failure(origin, "the handshake failed"),
    }
}
