//! TLS in front of an origin; forwards its answers and its connection errors unchanged.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

/// A port that accepts TLS and forwards the plain data.
pub(crate) struct Secured {
    port: u16,
    authority: String,
    over: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Secured {
    /// Starts a relay to the origin at this port. If the origin closes, it closes the TLS connection
    /// without `close_notify`, as when a server crashes.
    pub(crate) fn new(origin: u16) -> Self {
        Self::start(origin, false)
    }

    /// As `new`, but closes the TLS connection with `close_notify`.
    pub(crate) fn closing_properly(origin: u16) -> Self {
        Self::start(origin, true)
    }

    fn start(origin: u16, is_proper: bool) -> Self {
        let identity = Identity::new();
        let config = Arc::new(identity.config(&[b"http/1.1"]));
        let authority = identity.authority;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let acceptor = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let config = Arc::clone(&config);
                // Errors mean that one side closed the connection.
                thread::spawn(move || drop(relay(stream, origin, config, is_proper)));
            }
        });
        Self { port, authority, over, acceptor: Some(acceptor) }
    }

    pub(crate) fn base(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The certificate to trust, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        if let (true, Some(acceptor)) = (woken, self.acceptor.take()) {
            let _ = acceptor.join();
        }
    }
}

/// A certificate for loopback, and its certificate authority.
pub(super) struct Identity {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(super) authority: String,
}

impl Identity {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let authority = issuer.pem();
        Self { issuer, authority }
    }

    /// The server configuration with this certificate and these ALPN protocols.
    pub(super) fn config(&self, protocols: &[&[u8]]) -> ServerConfig {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate and its key");
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }
}

/// Forwards bytes in both directions until one side closes. `is_proper`: if the origin closes, the
/// TLS connection is closed with `close_notify`.
fn relay(
    mut outside: TcpStream,
    origin: u16,
    config: Arc<ServerConfig>,
    is_proper: bool,
) -> io::Result<()> {
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut inside = TcpStream::connect((Ipv4Addr::LOCALHOST, origin))?;
    let tick = Some(Duration::from_millis(2));
    outside.set_read_timeout(tick)?;
    inside.set_read_timeout(tick)?;
    outside.set_nodelay(true)?;
    inside.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match tls.read_tls(&mut outside) {
            Ok(0) => {
                let _ = inside.shutdown(Shutdown::Both);
                return Ok(());
            }
            Ok(_) => {
                if let Err(error) = tls.process_new_packets() {
                    // Sends the TLS alert before closing.
                    flush(&mut tls, &mut outside)?;
                    return Err(io::Error::other(error));
                }
            }
            Err(error) if is_quiet(&error) => {}
            Err(error) => return Err(error),
        }
        loop {
            match tls.reader().read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => inside.write_all(&buffer[..read])?,
                Err(error) if is_quiet(&error) => break,
                Err(error) => return Err(error),
            }
        }
        match inside.read(&mut buffer) {
            Ok(0) => {
                if is_proper {
                    tls.send_close_notify();
                }
                flush(&mut tls, &mut outside)?;
                return outside.shutdown(Shutdown::Both);
            }
            Ok(read) => tls.writer().write_all(&buffer[..read])?,
            Err(error) if is_quiet(&error) => {}
            Err(error) => {
                let _ = flush(&mut tls, &mut outside);
                return Err(error);
            }
        }
        flush(&mut tls, &mut outside)?;
    }
}

fn flush(tls: &mut ServerConnection, outside: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(outside)?;
    }
    Ok(())
}

fn is_quiet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
