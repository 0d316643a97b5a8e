//! Tests with real servers and proxies: nginx with TLS, HTTP/2 and limits, Apache httpd, tinyproxy.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::origin::PATIENCE;
use crate::world::{Run, World, content};

/// A server process on loopback, which ends when this value is dropped.
struct Server {
    child: Child,
    dir: TempDir,
    port: u16,
    /// A second port, for TLS for example.
    other: u16,
}

/// The configuration file and arguments of a server, as functions of its directory and ports.
struct Setup {
    file: &'static str,
    text: fn(&str, u16, u16) -> String,
    arguments: fn(&str) -> Vec<String>,
}

impl Server {
    /// `None` if the program is not installed; prints a line that says so.
    fn start(name: &str, setup: &Setup) -> Option<Self> {
        let Some(program) = find(name) else {
            // Bypasses the output capture of the test harness, which would hide the line.
            let _ = writeln!(std::io::stderr(), "skipped: {name} is not installed");
            return None;
        };
        // Another process may take the free port before the server uses it.
        let server = (0..5).find_map(|_| Self::try_start(&program, setup));
        Some(server.unwrap_or_else(|| panic!("{name} starts on one of five ports")))
    }

    fn try_start(program: &Path, setup: &Setup) -> Option<Self> {
        let dir = TempDir::with_prefix("natsync-server-").expect("a temporary directory");
        let prefix = dir.path().display().to_string();
        fs::create_dir_all(dir.path().join("tree")).expect("the tree");
        certificate(dir.path());
        let (port, other) = (free_port()?, free_port()?);
        let text = (setup.text)(&prefix, port, other);
        fs::write(dir.path().join(setup.file), text).expect("its configuration");
        let child = Command::new(program)
            .args((setup.arguments)(&prefix))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server can be started");
        let mut server = Self { child, dir, port, other };
        server.answers().then_some(server)
    }

    /// Waits until the server accepts connections; `false` if it exited instead.
    fn answers(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return false;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.dir.path().join("tree").join(name);
        fs::write(&path, bytes).expect("a file of the tree");
        let file = fs::File::options().write(true).open(path).expect("that file");
        file.set_modified(crate::origin::first_modified()).expect("its time");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default()
    }

    fn plain(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn secure(&self) -> String {
        format!("https://127.0.0.1:{}", self.other)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // On SIGTERM a master process also ends its workers.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, Signal::TERM);
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Some(listener.local_addr().ok()?.port())
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A self-signed certificate for loopback.
fn certificate(folder: &Path) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::write(folder.join("cert.pem"), certificate.pem()).expect("the certificate");
    fs::write(folder.join("key.pem"), key.serialize_pem()).expect("its key");
}

const NGINX: Setup = Setup {
    file: "nginx.conf",
    text: |prefix, port, other| {
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {prefix}/{name};\n"))
            .concat();
        format!(
            "daemon off;
master_process off;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
events {{ worker_connections 512; }}
http {{
{temporary}    log_format seen '$server_protocol $request_method $status $body_bytes_sent $request_uri $http_range';
    access_log {prefix}/access.log seen;
    limit_req_zone all zone=all:1m rate=100r/s;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{other} ssl http2;
        ssl_certificate {prefix}/cert.pem;
        ssl_certificate_key {prefix}/key.pem;
        root {prefix}/tree;
        location /short/ {{ keepalive_requests 3; alias {prefix}/tree/; }}
        location /many/ {{ limit_req zone=all burst=3 nodelay; limit_req_status 429; alias {prefix}/tree/; }}
        location /busy/ {{ limit_req zone=all burst=3 nodelay; limit_req_status 503; alias {prefix}/tree/; }}
    }}
}}
"
        )
    },
    arguments: |prefix| {
        ["-p", prefix, "-c", &format!("{prefix}/nginx.conf"), "-e", &format!("{prefix}/error.log")]
            .map(str::to_owned)
            .to_vec()
    },
};

const APACHE: Setup = Setup {
    file: "httpd.conf",
    text: |prefix, port, _| {
        let modules = ["mpm_event", "authz_core", "mime", "headers"]
            .map(|name| {
                format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
            })
            .concat();
        format!(
            "{modules}ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile {prefix}/httpd.pid
ErrorLog {prefix}/error.log
DocumentRoot {prefix}/tree
TypesConfig /dev/null
AddEncoding x-gzip .gz
LogFormat \"%H %m %>s %B %U %{{Range}}i\" seen
CustomLog {prefix}/access.log seen
MaxKeepAliveRequests 7
"
        )
    },
    arguments: |prefix| {
        ["-X", "-d", prefix, "-f", &format!("{prefix}/httpd.conf")].map(str::to_owned).to_vec()
    },
};

const TINYPROXY: Setup = Setup {
    file: "tinyproxy.conf",
    text: |prefix, port, _| {
        format!(
            "Port {port}
Listen 127.0.0.1
Timeout 20
LogFile \"{prefix}/access.log\"
LogLevel Connect
MaxClients 100
BasicAuth someone secret-of-the-proxy
"
        )
    },
    arguments: |prefix| {
        ["-d", "-c", &format!("{prefix}/tinyproxy.conf")].map(str::to_owned).to_vec()
    },
};

/// Puts `count` small files on a server, and returns a world whose manifest declares all of them.
fn small(server: &Server, base: &str, count: usize, http: &str) -> World {
    for n in 1..=count {
        server.put(&format!("{n}.bin"), &content(n as u64, 5000));
    }
    let world = World::new().manifest(&format!(
        "http: {{ca_file: ca.pem{http}}}\nsources: [{{url: \"{base}/{{n}}.bin\", vars: {{n: 1..{count}}}}}]\n"
    ));
    world.write("ca.pem", fs::read(server.dir.path().join("cert.pem")).unwrap());
    world
}

#[track_caller]
fn all_are_right(world: &World, count: usize) {
    for n in 1..=count {
        assert!(world.read(&format!("out/{n}.bin")) == content(n as u64, 5000), "{n}");
    }
    assert_eq!(world.partial_files(), [""; 0]);
}

fn attempts(run: &Run) -> u64 {
    run.results().iter().map(|result| result["attempts"].as_u64().unwrap()).sum()
}

#[test]
fn nginx_over_tls_with_and_without_http2() {
    let Some(nginx) = Server::start("nginx", &NGINX) else { return };
    for (http2, protocol) in [("always", "HTTP/2.0"), ("auto", "HTTP/2.0"), ("never", "HTTP/1.1")] {
        let world = small(&nginx, &nginx.secure(), 200, &format!(", http2: {http2}"));
        let before = nginx.log().len();
        let run = world.apply().success();
        assert_eq!((run.counts().as_str(), attempts(&run)), ("entries 200, downloaded 200", 200));
        all_are_right(&world, 200);
        assert!(nginx.log()[before..].lines().all(|line| line.starts_with(protocol)), "{http2}");
        assert_eq!(world.apply().success().counts(), "entries 200, unchanged 200");
    }
}

#[test]
fn nginx_that_often_closes_connections_costs_no_attempt() {
    let Some(nginx) = Server::start("nginx", &NGINX) else { return };
    for base in [nginx.secure(), nginx.plain()] {
        let world = small(&nginx, &format!("{base}/short"), 300, ", retries: 0");
        let run = world.apply().success();
        assert_eq!((run.counts().as_str(), attempts(&run)), ("entries 300, downloaded 300", 300));
        all_are_right(&world, 300);
    }
}

#[test]
fn nginx_with_a_rate_limit_is_given_time() {
    let Some(nginx) = Server::start("nginx", &NGINX) else { return };
    for (folder, status) in [("many", " 429 "), ("busy", " 503 ")] {
        let world = small(&nginx, &format!("{}/{folder}", nginx.plain()), 80, ", retries: 12");
        let before = nginx.log().len();
        world.apply().success();
        all_are_right(&world, 80);
        let log = nginx.log()[before..].to_owned();
        let refused = log.lines().filter(|line| line.contains(status)).count();
        assert!(0 < refused && refused < 160, "{refused} were refused");
    }
}

/// A killed transfer of a large file is resumed, as the log of the server shows.
fn goes_on(server: &Server, base: &str) {
    let bytes = content(99, 6_000_000);
    server.put("large.bin", &bytes);
    let world = small(server, base, 0, "").manifest(&format!(
        "http: {{ca_file: ca.pem}}\nsources: [{{url: \"{base}/large.bin\"}}]\n"
    ));
    let running = world.spawn(["apply", "--json", "--limit-rate", "1M"]);
    world.wait_for_staged(1_500_000);
    running.signal(Signal::INT);
    running.wait().code(130);
    world.apply().success();
    assert!(world.read("out/large.bin") == bytes);
    let log = server.log();
    let ranges: Vec<_> = log.lines().filter(|line| line.contains(" 206 ")).collect();
    assert_eq!(ranges.len(), 1, "{log}");
}

#[test]
fn an_interrupted_transfer_goes_on_at_nginx_and_apache() {
    if let Some(nginx) = Server::start("nginx", &NGINX) {
        goes_on(&nginx, &nginx.plain());
    }
    if let Some(nginx) = Server::start("nginx", &NGINX) {
        goes_on(&nginx, &nginx.secure());
    }
    if let Some(apache) = Server::start("apache2", &APACHE) {
        goes_on(&apache, &apache.plain());
    }
}

#[test]
fn segments_from_real_servers_make_a_complete_file() {
    let bytes = content(98, 9_000_000);
    for (name, setup) in [("nginx", &NGINX), ("apache2", &APACHE)] {
        let Some(server) = Server::start(name, setup) else { continue };
        server.put("large.bin", &bytes);
        let world = World::new().manifest(&format!(
            "http: {{segments: 4, segment_min_size: 1MB}}\nsources: [{{url: \"{}/large.bin\"}}]\n",
            server.plain()
        ));
        world.apply().success();
        assert!(world.read("out/large.bin") == bytes, "{name}");
    }
}

#[test]
fn apache_serves_confirms_and_labels() {
    let Some(apache) = Server::start("apache2", &APACHE) else { return };
    let world = small(&apache, &apache.plain(), 60, "");
    let run = world.apply().success();
    // This server closes each connection after seven requests.
    assert_eq!((run.counts().as_str(), attempts(&run)), ("entries 60, downloaded 60", 60));
    all_are_right(&world, 60);
    assert_eq!(world.apply().success().counts(), "entries 60, unchanged 60");
    assert_eq!(apache.log().lines().filter(|line| line.contains(" 304 ")).count(), 60);
    // Apache labels this file as compressed because of its name, so natsync refuses it without a
    // digest.
    apache.put("a.tar.gz", b"bytes");
    let url = format!("{}/a.tar.gz", apache.plain());
    let world = World::new().source(&url, &[]);
    assert_eq!(world.apply().code(1).failure("a.tar.gz").0, "unexpected_content");
}

#[test]
fn a_proxy_forwards_http_and_tunnels_https() {
    let (Some(nginx), Some(proxy)) =
        (Server::start("nginx", &NGINX), Server::start("tinyproxy", &TINYPROXY))
    else {
        return;
    };
    let address = format!("http://someone:secret-of-the-proxy@127.0.0.1:{}", proxy.port);
    for (base, variable) in [(nginx.plain(), "http_proxy"), (nginx.secure(), "https_proxy")] {
        let world = small(&nginx, &base, 40, "").env(variable, &address);
        let before = proxy.log().len();
        assert_eq!(world.apply().success().counts(), "entries 40, downloaded 40");
        all_are_right(&world, 40);
        assert!(proxy.log()[before..].contains("127.0.0.1"), "the proxy was asked");
        let run = world.run(["apply", "-v", "--force"]).success();
        assert!(!run.output().contains("secret-of-the-proxy"), "{}", run.output());

        // Without the password the proxy refuses, and the message names the proxy's status.
        let address = format!("http://127.0.0.1:{}", proxy.port);
        let world = small(&nginx, &base, 2, ", retries: 0").env(variable, &address);
        let run = world.apply().code(1);
        assert!(
            run.failure("1.bin").1.contains("401") || run.failure("1.bin").1.contains("407"),
            "{}",
            run.output()
        );
        // Hosts in `no_proxy` are contacted directly.
        let world = world.env("no_proxy", "127.0.0.1");
        world.apply().success();
    }
}
