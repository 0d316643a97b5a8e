//! Finds out why a certificate is not trusted, as far as the certificates tell.
//!
//! The libraries say "unknown issuer" for every chain without a trusted authority. The verifier
//! underneath decides; a refused chain is inspected once more, only for the message.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::key::too_small;

/// What a chain without a trusted authority looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distrust {
    /// The certificate is self-signed.
    SelfSigned,
    /// The same, and it is a CA certificate, which must not be used as a server certificate.
    SelfSignedAuthority,
    /// An RSA key of that many bits, which is too small, signed the handshake or a certificate.
    SmallKey(usize),
    /// It came alone and its issuer is unknown: the server may omit an intermediate certificate.
    Alone,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not trusted")
    }
}

impl std::error::Error for Distrust {}

/// Decides as another verifier does, and tells more about a refusal.
#[derive(Debug)]
pub(super) struct Telling(pub(super) Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for Telling {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| match distrust(&error, end_entity, intermediates) {
                Some(why) => told(why),
                None => error,
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.0.verify_tls12_signature(message, certificate, signed);
        verified.map_err(|error| of_key(error, certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.0.verify_tls13_signature(message, certificate, signed);
        verified.map_err(|error| of_key(error, certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}

/// The error of a signature, which a key that is too small explains.
fn of_key(error: Error, certificate: &CertificateDer<'_>) -> Error {
    match too_small(certificate) {
        Some(bits) => told(Distrust::SmallKey(bits)),
        None => error,
    }
}

fn told(why: Distrust) -> Error {
    CertificateError::Other(OtherError(Arc::new(why))).into()
}

fn distrust(
    error: &Error,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Option<Distrust> {
    let Error::InvalidCertificate(error) = error else {
        return None;
    };
    let certificate = webpki::EndEntityCert::try_from(end_entity).ok()?;
    let own = certificate.issuer() == certificate.subject();
    let small = || {
        let mut chain = [end_entity].into_iter().chain(intermediates);
        chain.find_map(too_small).map(Distrust::SmallKey)
    };
    match error {
        CertificateError::BadSignature => small(),
        CertificateError::UnknownIssuer if own => Some(Distrust::SelfSigned),
        CertificateError::UnknownIssuer if intermediates.is_empty() => Some(Distrust::Alone),
        CertificateError::Other(_) if own => Some(Distrust::SelfSignedAuthority),
        _ => None,
    }
}
