//! A small HTTP/1.1 origin on loopback, with the features that the demo needs.
//!
//! Each connection has a thread and is persistent. The origin delays and serialises its answers,
//! like a slow network, so that the progress display has something to show. It logs all answers.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::picture::Picture;

const PICTURE_TIME: Duration = Duration::from_millis(15);
const SHORT_TIME: Duration = Duration::from_millis(4);

pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

/// The log entry of one request.
pub(crate) struct Answer {
    pub(crate) path: String,
    pub(crate) status: u16,
}

struct Shared {
    pictures: BTreeMap<String, Picture>,
    bodies: HashMap<Picture, Arc<Vec<u8>>>,
    log: Vec<Answer>,
    line_free_at: Instant,
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

impl Origin {
    pub(crate) fn start(pictures: &BTreeMap<String, Picture>) -> io::Result<Origin> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared {
            pictures: pictures.clone(),
            bodies: HashMap::new(),
            log: Vec::new(),
            line_free_at: Instant::now(),
        }));
        let for_connections = Arc::clone(&shared);
        // The threads end with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&for_connections);
                // A client that closes its connection is not an error of the origin.
                thread::spawn(move || converse(&stream, &shared).ok());
            }
        });
        Ok(Origin { address, shared })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Replaces the picture of the same name.
    pub(crate) fn publish(&self, picture: Picture) {
        lock(&self.shared).pictures.insert(picture.url_path(), picture);
    }

    /// The answers since the last call.
    pub(crate) fn take_log(&self) -> Vec<Answer> {
        std::mem::take(&mut lock(&self.shared).log)
    }

    pub(crate) fn body(&self, picture: Picture) -> Arc<Vec<u8>> {
        body(&self.shared, picture)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Renders a picture at its first request, without holding the mutex meanwhile.
fn body(shared: &Mutex<Shared>, picture: Picture) -> Arc<Vec<u8>> {
    if let Some(bytes) = lock(shared).bodies.get(&picture) {
        return Arc::clone(bytes);
    }
    let bytes = Arc::new(picture.jpeg());
    lock(shared).bodies.insert(picture, Arc::clone(&bytes));
    bytes
}

fn converse(stream: &TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        answer(&request, stream, shared)?;
        if request
            .headers
            .get("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
        {
            break;
        }
    }
    Ok(())
}

/// `None` when the client has closed the connection or does not speak HTTP.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = HashMap::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Some(Request { method, path, headers }))
}

fn answer(request: &Request, mut stream: &TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let picture = lock(shared).pictures.get(&request.path).copied();
    let (status, picture) = match picture {
        _ if !matches!(request.method.as_str(), "GET" | "HEAD") => (405, None),
        None => (404, None),
        Some(picture) if is_current(request, picture) => (304, Some(picture)),
        Some(picture) => (200, Some(picture)),
    };
    let body = picture.filter(|_| status == 200).map(|picture| body(shared, picture));
    let with_body = request.method == "GET" && body.is_some();

    let mut message = format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes();
    if let Some(picture) = picture {
        let (tag, date) = (entity_tag(picture), last_modified(picture));
        write!(message, "ETag: {tag}\r\nLast-Modified: {date}\r\nContent-Type: image/jpeg\r\n")?;
    }
    // A 304 has no body; its Content-Length would have to be that of the picture (RFC 9110, 8.6).
    if status != 304 {
        write!(message, "Content-Length: {}\r\n", body.as_ref().map_or(0, |bytes| bytes.len()))?;
    }
    message.extend_from_slice(b"\r\n");
    if let Some(bytes) = body.filter(|_| with_body) {
        message.extend_from_slice(&bytes);
    }

    wait_for_turn(shared, if with_body { PICTURE_TIME } else { SHORT_TIME });
    // Logged before it is sent, so that a client that has the answer also finds it in the log.
    lock(shared).log.push(Answer { path: request.path.clone(), status });
    stream.write_all(&message)
}

fn wait_for_turn(shared: &Mutex<Shared>, time: Duration) {
    let now = Instant::now();
    let done = {
        let mut shared = lock(shared);
        shared.line_free_at = shared.line_free_at.max(now) + time;
        shared.line_free_at
    };
    thread::sleep(done - now);
}

/// True if the client has this version already, by `If-None-Match`, or by `If-Modified-Since` if
/// the request has no `If-None-Match` (RFC 9110, 13.2.2).
fn is_current(request: &Request, picture: Picture) -> bool {
    match request.headers.get("if-none-match") {
        Some(tags) => tags.split(',').any(|tag| tag.trim() == entity_tag(picture)),
        None => request.headers.get("if-modified-since") == Some(&last_modified(picture)),
    }
}

fn entity_tag(picture: Picture) -> String {
    let Picture { month, day, number, version } = picture;
    format!("\"{month:02}{day:02}-{number}-v{version}\"")
}

/// Noon of the date in the picture's name, plus one day for each new version.
fn last_modified(picture: Picture) -> String {
    let days = i64::from(picture.version) - 1;
    let day = jiff::civil::date(2009, picture.month, picture.day)
        .saturating_add(jiff::Span::new().days(days));
    day.strftime("%a, %d %b %Y 12:00:00 GMT").to_string()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        304 => "Not Modified",
        404 => "Not Found",
        _ => "Method Not Allowed",
    }
}
