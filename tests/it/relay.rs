//! A proxy for tests, which logs the requests that it receives.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A proxy that forwards requests in absolute form, and logs their heads.
pub(crate) struct Relay {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The behaviour of the proxy for all requests.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Forwards requests in absolute form, and answers 502 to CONNECT.
    Forward,
    /// Opens every tunnel.
    Tunnel,
    /// Sends this text to every client, then closes the connection.
    Say(Vec<u8>),
    /// Sends endless header fields.
    Endless,
    /// Sends nothing, and closes the connection when the client does.
    Silent,
    /// Forwards requests, and closes the connection after this many bytes of the answer.
    Cut(usize),
}

impl Relay {
    /// Starts a `Forward` proxy.
    pub(crate) fn start() -> Self {
        Self::of(Manner::Forward)
    }

    pub(crate) fn of(manner: Manner) -> Self {
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
                let (noted, manner) = (Arc::clone(&noted), manner.clone());
                thread::spawn(move || serve(stream, &noted, &manner));
            }
        });
        Self { port, heads, over, thread: Some(thread) }
    }

    /// Its URL, with `user:password@` before the host.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("http://{user}127.0.0.1:{}", self.port)
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Logs and answers each request. The connection is persistent.
fn serve(mut client: TcpStream, noted: &Mutex<Vec<String>>, manner: &Manner) {
    while let Some(head) = read_head(&mut client) {
        noted.lock().unwrap().push(head.clone());
        match manner {
            Manner::Tunnel if head.starts_with("CONNECT ") => {
                let _ = tunnel(client, &head);
                return;
            }
            Manner::Forward | Manner::Cut(_) if head.starts_with("CONNECT ") => {
                let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            Manner::Forward | Manner::Tunnel => {
                let _ = client.write_all(&answer_of_origin(&head));
            }
            Manner::Cut(length) => {
                let mut answer = answer_of_origin(&head);
                let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(0) + 4;
                answer.truncate(body + length);
                let _ = client.write_all(&answer);
                return;
            }
            Manner::Say(answer) => {
                let _ = client.write_all(answer);
                return;
            }
            Manner::Endless => {
                let _ = client.write_all(b"HTTP/1.1 200 OK\r\n");
                while client.write_all(b"X-More: and more and more and more\r\n").is_ok() {}
                return;
            }
            Manner::Silent => {
                let _ = client.set_read_timeout(Some(Duration::from_secs(20)));
                let _ = client.read(&mut [0]);
                return;
            }
        }
    }
}

fn tunnel(mut client: TcpStream, head: &str) -> io::Result<()> {
    let authority = head.split(' ').nth(1).unwrap_or_default();
    let Ok(mut origin) = TcpStream::connect(authority) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut up, mut down) = (client.try_clone()?, origin.try_clone()?);
    let upwards = thread::spawn(move || {
        let _ = io::copy(&mut up, &mut down);
        let _ = down.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut origin, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upwards.join();
    Ok(())
}

fn answer_of_origin(head: &str) -> Vec<u8> {
    let target = head.split(' ').nth(1).unwrap();
    // A request without an absolute URL was not meant for a proxy, and gets no answer.
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
