//! A scriptable HTTP/2 server over TLS on loopback.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::secured::Identity;

/// The reaction to a request.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// The content, in one answer, with its length.
    File(Vec<u8>),
    /// The content without a length.
    Unmeasured(Vec<u8>),
    /// The content without a length, then `RST_STREAM` with this code.
    UnmeasuredAndReset(Vec<u8>, Reason),
    /// The content with this wrong length.
    Length(usize, Vec<u8>),
    /// A status without a body.
    Status(u16),
    /// `RST_STREAM` with this code instead of an answer.
    Reset(Reason),
    /// This many bytes of the content, then `RST_STREAM` with this code.
    ResetAfter(Vec<u8>, usize, Reason),
    /// Closes the connection without an answer.
    Gone,
    /// The content and GOAWAY; later requests are not processed.
    Goodbye(Vec<u8>),
    /// GOAWAY with this code for all streams at once.
    Anger(Reason),
    /// Never answers.
    Silence,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    /// The number of earlier requests for this path.
    pub(crate) before: usize,
    /// The number of its connection, and its number on that connection, both from 0.
    pub(crate) connection: usize,
    pub(crate) number: usize,
    /// Sent over HTTP/1.1.
    pub(crate) over_one: bool,
    pub(crate) headers: Vec<(String, String)>,
}

type Script = dyn Fn(&Asked) -> Say + Send + Sync;

/// A server on a free port.
pub(crate) struct Second {
    port: u16,
    authority: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Second {
    pub(crate) fn new(script: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        Self::offering(&[b"h2"], script)
    }

    /// A server that offers these protocols. Over HTTP/1.1 it knows only [`Say::File`].
    pub(crate) fn offering(
        protocols: &[&[u8]],
        script: impl Fn(&Asked) -> Say + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity::new();
        let config = identity.config(protocols);
        let (end, ended) = oneshot::channel();
        let (told, port) = std::sync::mpsc::channel();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
                told.send(listener.local_addr().expect("its address").port()).expect("a reader");
                let script: Arc<Script> = Arc::new(script);
                let serving = async move {
                    let acceptor = TlsAcceptor::from(Arc::new(config));
                    let count = AtomicUsize::new(0);
                    while let Ok((stream, _)) = listener.accept().await {
                        let number = count.fetch_add(1, Ordering::Relaxed);
                        let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
                        let script = Arc::clone(&script);
                        tokio::spawn(async move {
                            // Errors mean that the client closed the connection.
                            let _ = serve(acceptor, stream, number, &log, &script).await;
                        });
                    }
                };
                tokio::select! { () = serving => {} _ = ended => {} }
            });
        });
        let port = port.recv().expect("the server starts");
        let authority = identity.authority;
        Self { port, authority, asked, end: Some(end), thread: Some(thread) }
    }

    pub(crate) fn base(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The certificate to trust, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.asked().iter().map(|asked| asked.connection + 1).max().unwrap_or(0)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    connection: usize,
    log: &Mutex<Vec<Asked>>,
    script: &Arc<Script>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    if stream.get_ref().1.alpn_protocol() == Some(b"http/1.1") {
        return serve_one(stream, connection, log, script).await;
    }
    let mut server = h2::server::handshake(stream).await?;
    let mut number = 0;
    while let Some(request) = server.accept().await {
        let (request, respond) = request?;
        let asked = note(&request, connection, number, log);
        number += 1;
        match script(&asked) {
            Say::Gone => return Ok(()),
            Say::Anger(reason) => {
                server.abrupt_shutdown(reason);
                std::future::poll_fn(|context| server.poll_closed(context)).await?;
                return Ok(());
            }
            Say::Goodbye(body) => {
                server.graceful_shutdown();
                tokio::spawn(answer(Say::File(body), respond));
            }
            say => {
                tokio::spawn(answer(say, respond));
            }
        }
    }
    Ok(())
}

/// HTTP/1.1 on one connection.
async fn serve_one<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    connection: usize,
    log: &Mutex<Vec<Asked>>,
    script: &Arc<Script>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for number in 0.. {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split(' ').nth(1).ok_or("no target")?;
        let request = Request::get(path).body(())?;
        let asked = note(&request, connection, number, log);
        let Say::File(body) = script(&asked) else { return Ok(()) };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(answer.as_bytes()).await?;
        stream.write_all(&body).await?;
    }
    Ok(())
}

fn note<B>(
    request: &Request<B>,
    connection: usize,
    number: usize,
    log: &Mutex<Vec<Asked>>,
) -> Asked {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let path = request.uri().path().to_owned();
    let before = log.iter().filter(|asked| asked.path == path).count();
    let text =
        |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<_> =
        request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let range = request.headers().get("range").map(text);
    // Over HTTP/2 a target has a scheme.
    let over_one = request.uri().scheme().is_none();
    let asked = Asked { path, range, before, connection, number, over_one, headers };
    log.push(asked.clone());
    asked
}

async fn answer(say: Say, mut respond: SendResponse<Bytes>) {
    // Each content has a tag of its own, which its first bytes make.
    let tag = match &say {
        Say::File(body)
        | Say::Unmeasured(body)
        | Say::UnmeasuredAndReset(body, _)
        | Say::Length(_, body)
        | Say::ResetAfter(body, ..) => crate::world::hex(&body[..body.len().min(8)]),
        _ => "v1".to_owned(),
    };
    let head = |status: u16, length: Option<usize>| {
        let mut head = Response::builder().status(status).header("etag", format!("\"{tag}\""));
        if let Some(length) = length {
            head = head.header("content-length", length);
        }
        head.body(()).expect("a head")
    };
    let (head, body, end) = match say {
        Say::File(body) => (head(200, Some(body.len())), body, None),
        Say::Unmeasured(body) => (head(200, None), body, None),
        Say::Length(length, body) => (head(200, Some(length)), body, None),
        Say::Status(status) => (head(status, Some(0)), Vec::new(), None),
        Say::ResetAfter(body, length, reason) => {
            (head(200, Some(body.len())), body[..length].to_vec(), Some(reason))
        }
        Say::UnmeasuredAndReset(body, reason) => (head(200, None), body, Some(reason)),
        Say::Reset(reason) => return respond.send_reset(reason),
        Say::Silence => return tokio::time::sleep(Duration::from_mins(1)).await,
        Say::Gone | Say::Goodbye(_) | Say::Anger(_) => return,
    };
    let Ok(mut stream) = respond.send_response(head, false) else { return };
    let mut rest = Bytes::from(body);
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let capacity = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let Some(Ok(capacity)) = capacity else { return };
        let piece = rest.split_to(capacity.min(rest.len()));
        if stream.send_data(piece, false).is_err() {
            return;
        }
    }
    match end {
        // Sends the written data first, because a reset would overtake it.
        Some(reason) => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.send_reset(reason);
        }
        None => {
            let _ = stream.send_data(Bytes::new(), true);
        }
    }
}
