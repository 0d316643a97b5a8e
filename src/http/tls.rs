//! TLS: the trusted certificates, and the handshake.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::first_bytes::FirstBytes;
use super::handshake::{explain, failure};
use super::origin::Origin;
use super::trust::Telling;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Http2;

/// Makes TLS connections. The trusted certificates are loaded for the first one.
#[derive(Debug, Default)]
pub(super) struct Tls {
    ca_file: Option<PathBuf>,
    config: OnceCell<Result<Arc<ClientConfig>, Failure>>,
}

impl Tls {
    /// Trusts only the certificates in that file, or else those that the system trusts.
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, config: OnceCell::new() }
    }

    /// Performs the handshake over an open connection.
    pub(super) async fn connect<S>(
        &self,
        stream: S,
        origin: &Origin,
        http2: Http2,
    ) -> Result<TlsStream<FirstBytes<S>>, Failure>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let config = self.config.get_or_init(|| load(self.ca_file.clone())).await.clone()?;
        let (one, two) = (b"http/1.1".to_vec(), b"h2".to_vec());
        let protocols = match http2 {
            Http2::Never => vec![one],
            Http2::Auto => vec![two, one],
            Http2::Always => vec![two],
        };
        let name = ServerName::try_from(origin.bare_host().to_owned())
            .map_err(|_| failure(origin, "the host's name cannot be in a certificate"))?;
        TlsConnector::from(config)
            .with_alpn(protocols)
            .connect(name, FirstBytes::of(stream))
            .into_fallible()
            .await
            .map_err(|(error, stream)| explain(origin, &error, stream.bytes(), http2))
    }
}

/// A connection without a proxy.
pub(super) type Direct = TlsStream<FirstBytes<TcpStream>>;

async fn load(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, Failure> {
    let loaded = tokio::task::spawn_blocking(move || {
        let config = match ca_file {
            Some(file) => trusting_file(&file)?,
            None => trusting_system()?,
        };
        Ok(Arc::new(config))
    });
    loaded.await.unwrap_or_else(|_| {
        Err(Failure::new(ErrorKind::Tls, "the trusted certificates could not be read"))
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn trusting(verifier: Arc<dyn ServerCertVerifier>) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Telling(verifier)))
        .with_no_client_auth()
}

fn trusting_roots(roots: RootCertStore) -> Option<ClientConfig> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    Some(trusting(verifier.build().ok()?))
}

fn trusting_system() -> Result<ClientConfig, Failure> {
    // A minimal system has no certificates: natsync brings those of Mozilla.
    if let Ok(verifier) = rustls_platform_verifier::Verifier::new(provider()) {
        return Ok(trusting(Arc::new(verifier)));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let none = || Failure::new(ErrorKind::Tls, "there are no trusted certificates");
    trusting_roots(roots).ok_or_else(none)
}

fn trusting_file(file: &Path) -> Result<ClientConfig, Failure> {
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
    trusting_roots(roots).ok_or_else(|| problem("cannot be used".to_owned()))
}

/// Whether both sides agreed on HTTP/2.
///
/// # Errors
/// When `http2: always` is set and the server does not offer HTTP/2.
pub(super) fn agreed_on_http2<S>(
    stream: &TlsStream<S>,
    origin: &Origin,
    http2: Http2,
) -> Result<bool, Failure> {
    let agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if !agreed && http2 == Http2::Always {
        let what = "it does not offer HTTP/2, and `http2: always` asks for it";
        return Err(failure(origin, what));
    }
    Ok(agreed)
}
