//! TLS: trusted certificates, and distinct messages for different errors.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use crate::secure::{FILE, Secure, authority, params};
use crate::world::World;

/// A world whose manifest trusts a certificate authority.
fn trusting(issuer: &CertifiedIssuer<'_, KeyPair>, url: &str) -> World {
    let world = World::new().source(url, &["http: {ca_file: ca.pem, retries: 1}"]);
    world.write("ca.pem", issuer.pem());
    world
}

#[test]
fn an_authority_of_ones_own_can_be_trusted() {
    let issuer = authority();
    let secure = Secure::start(&issuer, &params("localhost"), FILE);
    let world = trusting(&issuer, &secure.url("localhost"));
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
    world.assert_files(&[("file.txt", "secret")]);
}

#[test]
fn an_address_can_be_in_a_certificate() {
    let issuer = authority();
    let secure = Secure::start(&issuer, &params("127.0.0.1"), FILE);
    let world = trusting(&issuer, &secure.url("127.0.0.1"));
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
}

/// Checks that the run fails with this message, without a second attempt.
#[track_caller]
fn refused(world: &World, secure: &Secure, wrong: &str) -> String {
    let run = world.apply().code(1);
    assert_eq!(run.failure("file.txt").0, "tls");
    assert!(run.failure("file.txt").1.ends_with(wrong), "{}", run.output());
    assert!(secure.heads().is_empty(), "nothing is sent to whom is not trusted");
    world.assert_files(&[]);
    run.stderr
}

#[test]
fn the_error_of_a_certificate_is_named() {
    let issuer = authority();
    let valid = |from, to| {
        let mut params = params("localhost");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params
    };
    let mut an_authority = params("localhost");
    an_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut for_clients = params("localhost");
    for_clients.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    for (params, wrong, hint) in [
        (valid(2001, 2002), "its certificate has expired", ""),
        (valid(2999, 3000), "its certificate is not valid yet", "is this machine's clock right?"),
        (params("other.example"), "its certificate is for another host", ""),
        (
            CertificateParams::new(Vec::<String>::new()).unwrap(),
            "its certificate names no host (it has no subjectAltName)",
            "common name",
        ),
        (an_authority, "its certificate is that of an authority, not of a server", "CA:FALSE"),
        (for_clients, "its certificate is not meant for servers", ""),
    ] {
        let secure = Secure::start(&issuer, &params, FILE);
        let world = trusting(&issuer, &secure.url("localhost"));
        let told = refused(&world, &secure, wrong);
        assert!(told.contains(hint), "{told}");
    }
}

#[test]
fn self_signed_and_unknown_issuers_are_distinguished() {
    let issuer = authority();
    let key = KeyPair::generate().unwrap();
    let own = params("localhost").self_signed(&key).unwrap();
    let secure = Secure::with_chain(&key, vec![own.der().clone()], FILE);
    let told = refused(
        &trusting(&issuer, &secure.url("localhost")),
        &secure,
        "its certificate is self-signed",
    );
    assert!(told.contains("ca_file"), "{told}");
    // A self-signed certificate can be trusted directly.
    let world = World::new().source(&secure.url("localhost"), &["http: {ca_file: ca.pem}"]);
    world.write("ca.pem", own.pem());
    world.apply().success();
    // Many tools generate self-signed certificates that are authorities.
    let mut params = params("localhost");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = params.self_signed(&key).unwrap();
    let secure = Secure::with_chain(&key, vec![own.der().clone()], FILE);
    refused(
        &trusting(&issuer, &secure.url("localhost")),
        &secure,
        "its certificate is self-signed, and that of an authority",
    );
}

#[test]
fn a_certificate_between_that_is_missing_is_suspected() {
    let root = authority();
    let mut between = CertificateParams::new(Vec::<String>::new()).unwrap();
    between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    between.distinguished_name.push(rcgen::DnType::CommonName, "between");
    let between = CertifiedIssuer::signed_by(between, KeyPair::generate().unwrap(), &root).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = params("localhost").signed_by(&key, &between).unwrap();
    let whole = vec![leaf.der().clone(), between.der().clone()];
    let secure = Secure::with_chain(&key, whole.clone(), FILE);
    trusting(&root, &secure.url("localhost")).apply().success();
    let stranger = authority();
    let secure = Secure::with_chain(&key, whole, FILE);
    refused(
        &trusting(&stranger, &secure.url("localhost")),
        &secure,
        "its certificate has an unknown issuer",
    );
    let secure = Secure::with_chain(&key, vec![leaf.der().clone()], FILE);
    refused(
        &trusting(&root, &secure.url("localhost")),
        &secure,
        "its certificate has an unknown issuer, and no intermediate certificate came with it",
    );
}

/// A port that handles every connection with `answer` and counts them. It stays open until the
/// process ends.
fn port(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            counted.fetch_add(1, Ordering::AcqRel);
            answer(&mut stream);
            // Closing a socket with unread input sends a reset, which could discard the answer.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            while stream.read(&mut [0; 4096]).is_ok_and(|read| 0 < read) {}
        }
    });
    (port, count)
}

#[test]
fn answers_that_are_not_a_handshake_are_distinguished() {
    const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2];
    let alert = |code| [ALERT, &[code]].concat();
    let garbage: Vec<u8> =
        (0..65536u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 128).collect();
    for (answer, kind, wrong, attempts) in [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "tls",
            "it speaks plain HTTP on this port",
            1,
        ),
        (b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), "tls", "it does not speak TLS", 1),
        (garbage, "tls", "it does not speak TLS", 1),
        (alert(40), "tls", "no cipher or key exchange in common", 1),
        (alert(71), "tls", "no cipher or key exchange in common", 1),
        (alert(42), "tls", "it refused the handshake", 1),
        (alert(70), "tls", "it speaks no version of TLS that is safe", 1),
        (alert(112), "tls", "it knows no host of this name", 1),
        (alert(80), "connect", "it broke off the handshake (internal error)", 2),
        (Vec::new(), "connect", "the connection was lost during the handshake", 2),
        (b"HT".to_vec(), "tls", "it speaks plain HTTP on this port", 1),
    ] {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(20)]).into_owned();
        let (port, count) = port(move |stream| {
            let _ = stream.write_all(&answer);
        });
        let url = format!("https://127.0.0.1:{port}/file.txt");
        let run = World::new().source(&url, &["http: {retries: 1}"]).apply().code(1);
        let (seen, message) = run.failure("file.txt");
        assert_eq!(seen, kind, "{shown}: {message}");
        assert!(message.contains(wrong), "{shown}: {message}");
        assert_eq!(count.load(Ordering::Acquire), attempts, "{shown}");
    }
}

#[test]
fn a_handshake_that_hangs_ends() {
    let (port, count) = port(|stream| {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
        while stream.read(&mut [0; 4096]).is_ok_and(|read| 0 < read) {}
    });
    let url = format!("https://127.0.0.1:{port}/file.txt");
    let setting = "http: {retries: 4, connect_timeout: 1s}";
    let run = World::new().source(&url, &[setting]).apply().code(1);
    let (kind, message) = run.failure("file.txt");
    assert_eq!(kind, "timeout");
    assert!(message.contains("no TLS handshake with"), "{message}");
    assert!(count.load(Ordering::Acquire) <= 2);
}

#[test]
fn a_stranger_is_not_trusted() {
    let (issuer, other) = (authority(), authority());
    let secure = Secure::start(&issuer, &params("localhost"), FILE);
    let run = trusting(&other, &secure.url("localhost")).apply().code(1);
    assert_eq!(run.failure("file.txt").0, "tls");
    assert!(run.stderr.contains("unknown issuer"), "{}", run.stderr);
    // It is not trusted without `ca_file` either, because the system does not know this authority.
    let run = World::new().source(&secure.url("localhost"), &[]).apply().code(1);
    assert_eq!(run.failure("file.txt").0, "tls");
}

#[test]
fn no_redirect_leads_from_https_to_http() {
    let issuer = authority();
    let answer =
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/file.txt\r\nContent-Length: 0\r\n\r\n";
    let secure = Secure::start(&issuer, &params("localhost"), answer);
    let run = trusting(&issuer, &secure.url("localhost")).apply().code(1);
    assert_eq!(run.failure("file.txt").0, "redirect");
    assert!(run.stderr.contains("from https to http"), "{}", run.stderr);
}

/// `openssl s_server` with these arguments; none if it is not installed.
struct OpenSsl {
    child: std::process::Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl OpenSsl {
    fn start(key: &[&str], server: &[&str]) -> Option<Self> {
        let dir = tempfile::TempDir::with_prefix("natsync-openssl-").unwrap();
        let openssl = || {
            let mut command = std::process::Command::new("openssl");
            command.current_dir(dir.path()).stdin(std::process::Stdio::piped());
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            command
        };
        let made = openssl()
            .args(["req", "-x509", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"])
            .args(["-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(key)
            .status();
        if !made.is_ok_and(|status| status.success()) {
            let _ = writeln!(std::io::stderr(), "skipped: openssl is not installed");
            return None;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = openssl()
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-quiet"])
            .args(["-key", "key.pem", "-cert", "cert.pem"])
            .args(server)
            .spawn()
            .unwrap();
        let end = std::time::Instant::now() + crate::origin::PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(std::time::Instant::now() < end, "openssl does not start");
            thread::sleep(Duration::from_millis(5));
        }
        Some(Self { child, port, dir })
    }

    #[track_caller]
    fn refused(&self, wrong: &str) {
        let url = format!("https://localhost:{}/file.txt", self.port);
        let world = World::new().source(&url, &["http: {ca_file: ca.pem, retries: 0}"]);
        world.write("ca.pem", std::fs::read(self.dir.path().join("cert.pem")).unwrap());
        let (kind, message) = world.apply().code(1).failure("file.txt");
        assert_eq!(kind, "tls", "{message}");
        assert!(message.contains(wrong), "{message}");
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn old_keys_and_ciphers_are_named() {
    let seclevel = "DEFAULT:@SECLEVEL=0";
    for version in ["-tls1_2", "-tls1_3"] {
        let Some(weak) = OpenSsl::start(&["-newkey", "rsa:1024"], &["-cipher", seclevel, version])
        else {
            return;
        };
        weak.refused("an RSA key of 1024 bits");
    }
    let Some(old) =
        OpenSsl::start(&["-newkey", "rsa:2048"], &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"])
    else {
        return;
    };
    old.refused("no cipher or key exchange in common");
}
