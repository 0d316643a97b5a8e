//! Plants distinct secrets in every place where a manifest can have one, and searches for them in
//! all output, all files and all requests to other origins.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::process::Signal;

use crate::origin::{Answer, DeadPort, Gate, Origin};
use crate::relay::{Manner, Relay};
use crate::secure::{FILE, Secure, authority, params};
use crate::world::World;

const HEADER: &str = "cnry-header-a1/+=";
const LITERAL: &str = "cnry-literal-b2/+=";
const PASSWORD: &str = "cnry-password-c3+=";
const TOKEN: &str = "cnry-token-d4+=";
const PROXY: &str = "cnry-proxy-e5+=";
const NETRC: &str = "cnry-netrc-f6/+=";

/// The users of the passwords, for Basic authorization.
const USERS: [(&str, &str); 3] =
    [("url-user", PASSWORD), ("proxy-user", PROXY), ("nrc-user", NETRC)];

/// Every encoding of each secret that could appear.
fn forms() -> Vec<String> {
    const UNRESERVED: AsciiSet =
        NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let mut forms = Vec::new();
    for secret in [HEADER, LITERAL, PASSWORD, TOKEN, PROXY, NETRC] {
        let encoded = utf8_percent_encode(secret, &UNRESERVED).to_string();
        let stem = secret.trim_end_matches(['/', '+', '=']);
        forms.extend([secret.to_owned(), encoded.to_lowercase(), encoded, stem.to_owned()]);
    }
    for (user, password) in USERS {
        let basic = STANDARD.encode(format!("{user}:{password}"));
        forms.push(basic.trim_end_matches('=').to_owned());
    }
    forms
}

#[track_caller]
fn absent(bytes: &[u8], place: &str) {
    for form in forms() {
        let found = bytes.windows(form.len()).any(|window| window == form.as_bytes());
        assert!(!found, "{form} in {place}:\n{}", String::from_utf8_lossy(bytes));
    }
}

/// A world whose manifest contains every kind of secret. It has a mirror and a target for
/// redirects.
struct Canary {
    world: World,
    elsewhere: Origin,
    proxy: Option<Relay>,
}

impl Canary {
    fn new() -> Self {
        Self::asking(None, None)
    }

    /// `base` is the base URL of the sources (by default the origin's); `proxy` starts a proxy.
    fn asking(base: Option<&str>, proxy: Option<Manner>) -> Self {
        let world = World::new()
            .env("HEADER", HEADER)
            .env("PASSWORD", PASSWORD)
            .env("TOKEN", TOKEN)
            .env("PROXY_PASSWORD", PROXY)
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", "summary.md");
        let elsewhere = Origin::new();
        let proxy = proxy.map(Relay::of);
        let base = base.map_or_else(|| world.origin.base(), str::to_owned);
        let with_user = base.replace("://", "://url-user:${PASSWORD}@");
        let setting = proxy.as_ref().map_or_else(String::new, |proxy| {
            format!("  proxy: \"{}\"\n", proxy.url("proxy-user:${PROXY_PASSWORD}@"))
        });
        let mirror = elsewhere.url("/mirror");
        let world = world.manifest(&format!(
            "http:
  retries: 1
  connect_timeout: 1s
  stall_timeout: 1s
{setting}sources:
  - name: by-url
    url: \"{with_user}/{{n}}.txt?key=${{TOKEN}}\"
    mirrors: [\"{mirror}/{{n}}.txt\"]
    vars: {{n: 1..2}}
    headers: {{X-Env: \"${{HEADER}}\", X-Literal: \"{LITERAL}\"}}
    expect: {{max_size: 1kB}}
  - name: by-netrc
    url: \"{base}/{{n}}.dat?key=${{TOKEN}}\"
    mirrors: [\"{mirror}/{{n}}.dat\"]
    vars: {{n: 1..2}}
    netrc: true
    headers: {{Cookie: \"${{HEADER}}\"}}
    checksums: {{sidecar: \"{base}/{{n}}.dat.sha256?key=${{TOKEN}}\", optional: true}}
    expect: {{max_size: 1kB}}
"
        ));
        world.write(".netrc", format!("machine 127.0.0.1 login nrc-user password {NETRC}\n"));
        set_permissions(world.path(".netrc"), Permissions::from_mode(0o600)).unwrap();
        for n in 1..=2 {
            world.origin.serve(&format!("/{n}.txt"), "text");
            world.origin.serve(&format!("/{n}.dat"), "data");
            for name in [format!("/{n}.txt"), format!("/{n}.dat")] {
                elsewhere.serve(&name, "moved");
            }
        }
        Self { world, elsewhere, proxy }
    }

    /// Runs a command, and searches its output for the secrets.
    #[track_caller]
    fn run(&self, args: &[&str]) -> i32 {
        let run = self.world.run(args);
        absent(run.stdout.as_bytes(), &format!("stdout of {args:?}"));
        absent(run.stderr.as_bytes(), &format!("stderr of {args:?}"));
        run.status
    }

    /// Searches for the secrets on the disk, and in requests to all origins but their own.
    #[track_caller]
    fn tells_nothing(&self) {
        for (name, bytes) in self.world.files("") {
            if name != "natsync.yaml" && name != ".netrc" {
                absent(name.as_bytes(), "a file's name");
                absent(&bytes, &name);
            }
        }
        if self.world.exists("out/.natsync") {
            absent(&self.world.state_bytes(), "natsync's own folder");
        }
        for request in self.elsewhere.requests() {
            absent(request.text().as_bytes(), "a request elsewhere");
        }
    }

    /// Runs every command, then searches for the secrets.
    #[track_caller]
    fn every_command(&self) {
        for args in [
            &["plan", "-v"][..],
            &["plan", "--refresh", "--json", "-v"],
            &["apply", "-v"],
            &["apply", "--json", "-v"],
            &["apply", "--force"],
            &["plan", "--refresh", "-v"],
            &["lock", "-v"],
            &["lock", "--upgrade", "--json", "-v"],
            &["lock", "--check"],
            &["apply", "--rehash", "-v"],
            &["verify", "-v"],
            &["verify", "--json", "-v"],
            &["report", "--html", "page.html"],
            &["plan", "--out", "saved.plan"],
            &["apply", "--plan", "saved.plan"],
            &["apply", "--force", "--junit", "j.xml", "--metrics", "m.prom", "--failed", "f.jsonl"],
            &["apply", "--retry", "f.jsonl"],
            &["explain", "natsync.yaml", "1.txt"],
            &["explain", "natsync.yaml", "1.dat", "--json"],
        ] {
            self.run(args);
            self.tells_nothing();
        }
        self.run(&["list", "--json"]);
        for format in ["table", "urls", "json", "sha256sums", "aria2", "metalink"] {
            assert_eq!(self.run(&["list", "--format", format]), 0);
        }
    }
}

#[test]
fn runs_that_succeed_tell_no_secret() {
    let canary = Canary::new();
    assert_eq!(canary.run(&["apply", "-v"]), 0);
    let requests = canary.world.origin.requests();
    let sent = |path: &str, name: &str| {
        let request = requests.iter().find(|request| request.path() == path).unwrap();
        request.header(name).map(str::to_owned)
    };
    // The secrets reach their own origin. Without this check, the test would pass if none were
    // sent.
    let basic =
        |(user, password)| Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    assert_eq!(sent("/1.txt", "authorization"), basic(USERS[0]));
    assert_eq!(sent("/1.dat", "authorization"), basic(USERS[2]));
    assert_eq!(sent("/1.dat.sha256", "authorization"), basic(USERS[2]));
    assert_eq!(sent("/1.txt", "x-env").as_deref(), Some(HEADER));
    assert_eq!(sent("/1.txt", "x-literal").as_deref(), Some(LITERAL));
    assert_eq!(sent("/1.dat", "cookie").as_deref(), Some(HEADER));
    assert!(requests.iter().all(|request| request.target.contains("?key=cnry-token-d4")));
    canary.every_command();
}

#[test]
fn answers_of_every_kind_tell_no_secret() {
    let status = |status| Answer::status(status);
    let answers = [
        ("missing", status(404)),
        ("broken", status(500)),
        ("unauthorized", status(401).header("WWW-Authenticate", "Basic realm=\"x\"")),
        ("forbidden", status(403)),
        ("not through the proxy", status(407)),
        ("later", status(429).retry_after("9999")),
        ("silent", Answer::file().stall_at(1)),
        ("cut", Answer::file().cut_at(2)),
        ("reset", Answer::file().rst_at(2)),
        ("gone", Answer::close()),
        ("no HTTP", Answer::raw("what is this\r\n\r\n")),
        ("in a circle", Answer::redirect(302, "?again")),
        ("nowhere", Answer::redirect(302, "ftp://127.0.0.1/x")),
        ("other bytes", Answer::file().header("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")),
        ("other content", Answer::file().gzip_label()),
        ("too large", status(200).body(vec![b'x'; 2000])),
    ];
    // A server may send back what it was sent.
    let echoes = [HEADER, LITERAL, PASSWORD, TOKEN].into_iter().flat_map(|secret| {
        let head = |field| format!("HTTP/1.1 200 OK\r\n{field}: {secret}\r\n\r\n");
        [
            ("an echo as length", Answer::raw(head("Content-Length"))),
            ("an echo as framing", Answer::raw(head("Transfer-Encoding"))),
            ("an echo as coding", Answer::file().header("Content-Encoding", secret)),
        ]
    });
    let answers: Vec<_> = answers.into_iter().chain(echoes).collect();
    // In parallel, because the runs spend most of their time waiting.
    std::thread::scope(|scope| {
        for (name, answer) in answers {
            scope.spawn(move || answered(name, answer));
        }
    });
}

/// Answers every request with `answer`, while the mirror fails.
fn answered(name: &str, answer: Answer) {
    let canary = Canary::new();
    canary.world.origin.everywhere(answer);
    canary.elsewhere.everywhere(Answer::status(500));
    assert_ne!(canary.run(&["apply", "--json", "-v"]), 0, "{name}");
    canary.tells_nothing();
    for args in [
        &["apply", "-v", "--retries", "0"][..],
        &["plan", "--refresh", "-v", "--retries", "0"],
        &["lock", "-v", "--retries", "0"],
        &["verify", "-v"],
    ] {
        canary.run(args);
    }
    canary.tells_nothing();
    // Requests to the mirror have no secrets.
    if name != "missing" {
        assert!(!canary.elsewhere.requests().is_empty(), "{name}");
    }
}

#[test]
fn redirects_to_another_origin_take_no_secret_along() {
    let canary = Canary::new();
    for path in ["/1.txt", "/2.txt", "/1.dat", "/2.dat", "/1.dat.sha256", "/2.dat.sha256"] {
        let location = canary.elsewhere.url(path);
        canary.world.origin.always(path, Answer::redirect(307, &location));
    }
    canary.every_command();
    assert!(4 <= canary.elsewhere.requests().len());
}

#[test]
fn errors_of_unreachable_origins_have_no_secrets() {
    let dead = DeadPort::new();
    let refused = Canary::asking(Some(&dead.base()), None);
    let plain = Origin::new();
    let no_tls = plain.base().replace("http:", "https:");
    let insecure = Canary::asking(Some(&no_tls), None);
    let stranger = Secure::start(&authority(), &params("127.0.0.1"), FILE);
    let untrusted = stranger.url("127.0.0.1").replace("/file.txt", "");
    let untrusted = Canary::asking(Some(&untrusted), None);
    let nameless = Canary::asking(Some("http://no-such-host.invalid"), None);
    std::thread::scope(|scope| {
        for canary in [refused, insecure, untrusted, nameless] {
            scope.spawn(move || {
                canary.elsewhere.everywhere(Answer::status(500));
                for args in [
                    &["apply", "--json", "-v"][..],
                    &["apply", "--retries", "0"],
                    &["lock", "--retries", "0"],
                ] {
                    assert_eq!(canary.run(args), 1);
                }
                canary.tells_nothing();
            });
        }
    });
    assert!(stranger.heads().is_empty(), "nothing is sent after a failed handshake");
}

#[test]
fn path_conflicts_are_reported_without_secrets() {
    let canary = Canary::new();
    for path in ["out/1.txt/x", "out/2.dat/x"] {
        canary.world.write(path, "mine");
    }
    for args in [&["plan", "-v"][..], &["apply", "-v"], &["apply", "--json", "-v"], &["verify"]] {
        canary.run(args);
    }
    canary.tells_nothing();
}

#[test]
fn a_killed_run_leaves_no_secret_on_the_disk() {
    for signal in [Signal::KILL, Signal::INT] {
        let canary = Canary::new();
        let gate = Gate::new();
        for path in ["/2.txt", "/2.dat"] {
            canary.world.origin.always(path, Answer::file().gate_at(2, &gate));
        }
        let running = canary.world.spawn(["apply", "-v"]);
        canary.world.origin.wait_in_flight(2);
        running.signal(signal);
        let run = running.wait();
        absent(run.output().as_bytes(), "the output");
        canary.tells_nothing();
        gate.open();
        assert_eq!(canary.run(&["apply", "-v"]), 0);
        canary.tells_nothing();
    }
}

#[test]
fn only_the_proxy_gets_the_proxy_password() {
    for (manner, status) in [
        (Manner::Forward, 0),
        (Manner::Say(b"HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n".to_vec()), 1),
        (Manner::Say(b"no HTTP\r\n\r\n".to_vec()), 1),
        (Manner::Cut(2), 1),
    ] {
        let canary = Canary::asking(None, Some(manner));
        for args in [&["apply", "--json", "-v"][..], &["apply", "-v"], &["lock", "-v"]] {
            assert_eq!(canary.run(args), status);
        }
        canary.tells_nothing();
        let heads = canary.proxy.as_ref().unwrap().heads().join("").to_lowercase();
        assert!(heads.contains("proxy-authorization: basic "), "{heads}");
        assert_eq!(heads.matches("authorization: basic ").count() % 2, 0);
    }
}

#[test]
fn a_tunnel_is_opened_without_the_secrets_that_go_through_it() {
    let issuer = authority();
    let secure = Secure::start(&issuer, &params("127.0.0.1"), FILE);
    let base = secure.url("127.0.0.1").replace("/file.txt", "");
    let canary = Canary::asking(Some(&base), Some(Manner::Tunnel));
    canary.world.write("ca.pem", issuer.pem());
    let manifest = String::from_utf8(canary.world.read("natsync.yaml")).unwrap();
    let manifest = manifest.replace("  retries: 1\n", "  retries: 1\n  ca_file: ca.pem\n");
    // The sidecars have the same content, which is not a checksum list.
    let lines = manifest.lines().filter(|line| !line.contains("checksums"));
    canary.world.write("natsync.yaml", lines.collect::<Vec<_>>().join("\n"));
    assert_eq!(canary.run(&["apply", "-v"]), 0);
    canary.tells_nothing();
    for head in canary.proxy.as_ref().unwrap().heads() {
        assert!(head.starts_with("CONNECT "), "{head}");
        for secret in [HEADER, LITERAL, PASSWORD, TOKEN, NETRC] {
            assert!(!head.contains(secret), "{head}");
        }
        assert_eq!(head.to_lowercase().matches("authorization").count(), 1, "{head}");
    }
    let heads = secure.heads();
    assert_eq!(heads.len(), 4);
    for head in heads {
        assert!(!head.to_lowercase().contains("proxy-authorization"), "{head}");
        assert!(head.to_lowercase().contains("\r\nauthorization: basic "), "{head}");
    }
}
