//! Proxies: what goes through one, and what does not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::world::World;

/// A proxy that hands whole-URL requests on to where they lead and notes their heads.
struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heads, over) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let (noted, ended) = (Arc::clone(&heads), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let noted = Arc::clone(&noted);
                thread::spawn(move || hand_on(stream, &noted));
            }
        });
        Self { port, heads, over, thread: Some(thread) }
    }

    fn url(&self, user: &str) -> String {
        format!("http://{user}127.0.0.1:{}", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Each head is noted, and sent on without what is for the proxy. The connection is kept.
fn hand_on(mut client: TcpStream, noted: &Mutex<Vec<String>>) {
    while let Some(head) = read_head(&mut client) {
        noted.lock().unwrap().push(head.clone());
        if head.starts_with("CONNECT ") {
            let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        let _ = client.write_all(&answer_of_origin(&head));
    }
}

fn answer_of_origin(head: &str) -> Vec<u8> {
    let target = head.split(' ').nth(1).unwrap();
    // What goes by the wrong way has no whole URL: nobody answers it.
    let Some(rest) = target.strip_prefix("http://") else { return Vec::new() };
    let (authority, path) = rest.split_once('/').unwrap();
    let mut origin = TcpStream::connect(authority).unwrap();
    write!(origin, "GET /{path} HTTP/1.1\r\nHost: {authority}\r\n\r\n").unwrap();
    let head = read_head(&mut origin).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut answer = head.into_bytes();
    let start = answer.len();
    answer.resize(start + length.unwrap_or(0usize), 0);
    origin.read_exact(&mut answer[start..]).unwrap();
    answer
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

#[test]
fn a_declared_proxy_gets_whole_urls_and_its_own_password() {
    let proxy = Proxy::start();
    let world = World::new().serve_numbered(2);
    let setting = format!("http: {{proxy: \"{}\"}}", proxy.url("me:${PROXY_PASSWORD}@"));
    let world = world
        .env("PROXY_PASSWORD", "pr0xy-s3cret")
        .source("$BASE/{n}.txt", &["vars: {n: 1..2}", &setting]);
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 2, downloaded 2");
    let heads = proxy.heads();
    assert_eq!(heads.len(), 2);
    for head in &heads {
        assert!(head.starts_with(&format!("GET {}", world.origin.url("/"))), "{head}");
        assert!(
            head.to_lowercase().contains("proxy-authorization: basic bwu6chiwehktcznjcmv0"),
            "{head}"
        );
    }
    for secret in ["pr0xy-s3cret", "bWU6cHIweHktczNjcmV0"] {
        assert!(
            !run.output().contains(secret)
                && !String::from_utf8_lossy(&world.state_bytes()).contains(secret)
        );
    }
}

#[test]
fn a_proxy_of_one_source_is_none_of_another_at_the_same_origin() {
    let proxy = Proxy::start();
    let world = World::new().serve_numbered(20);
    for n in 1..=20 {
        world.origin.serve(&format!("/{n}.dat"), "by the proxy");
    }
    let world = world.manifest(&format!(
        "http: {{connections: 4}}
sources:
  - {{url: \"$BASE/{{n}}.dat\", vars: {{n: 1..20}}, http: {{proxy: \"{}\"}}}}
  - {{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..20}}, headers: {{Authorization: Bearer s3cret}}}}
",
        proxy.url("")
    ));
    assert_eq!(world.apply().success().counts(), "entries 40, downloaded 40");
    let heads = proxy.heads();
    assert_eq!(heads.len(), 20);
    for head in heads {
        assert!(head.contains(".dat HTTP") && !head.contains("s3cret"), "{head}");
    }
}

#[test]
fn the_environments_proxy_is_used_but_for_what_it_exempts() {
    let proxy = Proxy::start();
    let world =
        World::new().serve_numbered(1).env("http_proxy", &proxy.url("")).source("$BASE/1.txt", &[]);
    world.apply().success();
    assert_eq!(proxy.heads().len(), 1);
    let world = world.env("no_proxy", "localhost,127.0.0.1");
    world.run(["apply", "--force"]).success();
    assert_eq!(proxy.heads().len(), 1, "the second apply asks the origin itself");
}

#[test]
fn a_proxy_that_opens_no_tunnel_is_named() {
    let proxy = Proxy::start();
    let setting = format!("http: {{proxy: \"{}\", retries: 0}}", proxy.url("me:pr0xy-s3cret@"));
    let run = World::new().source("https://example.invalid/a.txt", &[&setting]).apply().code(1);
    assert_eq!(run.failure("a.txt").0, "connect");
    assert!(run.stderr.contains("the proxy http://127.0.0.1:"), "{}", run.stderr);
    assert!(run.stderr.contains("502"), "{}", run.stderr);
    assert!(!run.output().contains("pr0xy-s3cret"));
    assert!(proxy.heads()[0].starts_with("CONNECT example.invalid:443 "));
}
