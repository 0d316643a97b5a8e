//! Tells the failures of a TLS handshake apart.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};

use super::origin::Origin;
use super::trust::Distrust;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Http2;

const CA_FILE: &str = "`http: {ca_file: FILE}` trusts a certificate authority of your own";

/// A failure to make a secure connection.
pub(super) fn failure(origin: &Origin, what: &str) -> Failure {
    Failure::new(ErrorKind::Tls, format!("no secure connection to {origin}: {what}"))
}

/// Explains an error, given the first bytes that the server sent. Transient failures have the kind
/// `connect`, which is retried.
pub(super) fn explain(origin: &Origin, error: &io::Error, began: &[u8], http2: Http2) -> Failure {
    let transient = |what: &str| Failure { kind: ErrorKind::Connect, ..failure(origin, what) };
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return transient("the connection was lost during the handshake");
    };
    match tls {
        Error::InvalidCertificate(certificate) => refused(origin, certificate),
        // The response may arrive in pieces.
        Error::InvalidMessage(_) if !began.is_empty() && b"HTTP/".starts_with(began) => {
            failure(origin, "it speaks plain HTTP on this port")
                .with_hint("is the URL meant to begin with `http://`?")
        }
        // A TLS record begins with its type, 20 to 24, and the major version 3.
        Error::InvalidMessage(_) if !matches!(began, [20..=24, 3, ..]) => {
            failure(origin, "it does not speak TLS")
        }
        Error::AlertReceived(AlertDescription::InternalError) => {
            transient("it broke off the handshake (internal error)")
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => failure(origin, "it speaks no version of TLS that is safe (1.2 or 1.3)"),
        // What a server sends that knows only old ciphers, such as those with CBC or without
        // ephemeral keys.
        Error::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
        )
        | Error::PeerIncompatible(_) => {
            failure(origin, "it has no cipher or key exchange in common with natsync").with_hint(
                "a server needs TLS 1.3, or TLS 1.2 with ECDHE and AES-GCM or ChaCha20-Poly1305",
            )
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            failure(origin, "it knows no host of this name")
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) if http2 == Http2::Never => {
            failure(origin, "it does not offer HTTP/1.1")
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            failure(origin, "it does not offer HTTP/2, and `http2: always` asks for it")
        }
        Error::AlertReceived(_) => failure(origin, "it refused the handshake"),
        _ => failure(origin, "the handshake failed"),
    }
}

fn refused(origin: &Origin, certificate: &CertificateError) -> Failure {
    match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            failure(origin, "its certificate has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            failure(origin, "its certificate is not valid yet")
                .with_hint("is this machine's clock right?")
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            failure(origin, "its certificate names no host (it has no subjectAltName)")
                .with_hint("a common name is not looked at (RFC 9525); have the certificate made anew")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            failure(origin, "its certificate is for another host")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            failure(origin, "its certificate has an unknown issuer").with_hint(CA_FILE)
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            failure(origin, "its certificate is not meant for servers")
                .with_hint("its extended key usage lacks serverAuth")
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            failure(origin, "its certificate is signed in a way that is not safe, such as with SHA-1")
        }
        CertificateError::BadEncoding => failure(origin, "its certificate is malformed"),
        CertificateError::Revoked => failure(origin, "its certificate was revoked"),
        CertificateError::Other(OtherError(why)) => match why.downcast_ref::<Distrust>() {
            Some(Distrust::SelfSigned) => failure(origin, "its certificate is self-signed")
                .with_hint("`http: {ca_file: FILE}` trusts a certificate of your own"),
            Some(Distrust::SelfSignedAuthority) => {
                failure(origin, "its certificate is self-signed, and that of an authority")
                    .with_hint("have an authority of your own sign one for the server, and trust that with `http: {ca_file: FILE}`")
            }
            Some(Distrust::Alone) => {
                let what = "its certificate has an unknown issuer, and no intermediate certificate came with it";
                failure(origin, what).with_hint(CA_FILE)
            }
            Some(Distrust::SmallKey(bits)) => {
                let what = format!("its certificate has an RSA key of {bits} bits, which is not safe");
                failure(origin, &what).with_hint("a server needs one of at least 2048 bits")
            }
            None if why.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) => {
                let what = "its certificate is that of an authority, not of a server";
                failure(origin, what).with_hint("its basic constraints have to say CA:FALSE")
            }
            None => failure(origin, "its certificate is not acceptable"),
        },
        _ => failure(origin, "its certificate is not acceptable"),
    }
}
