//! An HTTP/1.1 connection for one request at a time, or a handle of an HTTP/2 connection that
//! several requests share.
//!
//! The task that sends a request over HTTP/1.1 also drives the connection, which saves a task
//! switch per request. HTTP/2 has a task of its own, on the thread that opened it, and is shared on
//! that thread only, for the same reason.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread::{self, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http_body_util::Empty;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::errors::reason;
use super::head::LARGEST_HEAD;
use super::heads::{Expecting, Heads};

/// A limit against hostile servers: no known server sends as many fields.
pub(super) const MOST_HEADERS: usize = 200;

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// The flow-control window of one HTTP/2 stream, in bytes: the bandwidth-delay product that a
/// single transfer can fill.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
/// The flow-control window of an HTTP/2 connection, in bytes.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// The interval of HTTP/2 keep-alive pings while a request is in progress.
const PING: Duration = Duration::from_secs(10);

/// An open connection to an origin, or to a proxy that asks it.
pub(crate) struct Connection {
    kind: Kind,
    /// Set if the peer is a proxy, which needs absolute URLs.
    pub(crate) over_proxy: Option<OverProxy>,
}

enum Kind {
    One {
        sender: http1::SendRequest<Empty<Bytes>>,
        driver: Option<Driver>,
        expecting: Expecting,
        requests: u64,
        /// The thread whose event loop drives it.
        home: ThreadId,
    },
    Many {
        sender: http2::SendRequest<Empty<Bytes>>,
        session: Arc<Session>,
    },
}

/// What the handles of one HTTP/2 connection share.
#[derive(Debug, Default)]
struct Session {
    requests: AtomicU64,
    /// The peer ended it because it requires HTTP/1.1.
    only_http1: AtomicBool,
}

/// What each request over a proxy carries.
#[derive(Clone, Debug)]
pub(crate) struct OverProxy {
    /// `Proxy-Authorization`.
    pub(crate) auth: Option<HeaderValue>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("shared", &self.is_shared()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Speaks HTTP/1.1 over an open stream.
    pub(crate) async fn over<S>(stream: S) -> hyper::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (stream, expecting) = Heads::of(stream);
        let (sender, driver) = http1::Builder::new()
            .max_headers(MOST_HEADERS)
            .max_header_size(LARGEST_HEAD)
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        let home = thread::current().id();
        let driver: Driver = Box::pin(driver);
        let kind = Kind::One { sender, driver: Some(driver), expecting, requests: 0, home };
        Ok(Self { kind, over_proxy: None })
    }

    /// Speaks HTTP/2 over an open stream.
    pub(super) async fn shared_over<S>(stream: S) -> hyper::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let largest = u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX);
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(largest)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(TokioIo::new(stream))
            .await?;
        let session = Arc::<Session>::default();
        let ended = Arc::clone(&session);
        // Its end and its errors reach the requests in progress, but not the reason of a GOAWAY
        // that the peer's end of the connection follows at once.
        tokio::spawn(async move {
            if driver.await.is_err_and(|error| reason(&error) == Some(Reason::HTTP_1_1_REQUIRED)) {
                ended.only_http1.store(true, Ordering::Relaxed);
            }
        });
        Ok(Self { kind: Kind::Many { sender, session }, over_proxy: None })
    }

    /// Whether this thread opened it.
    pub(crate) fn is_at_home(&self) -> bool {
        matches!(&self.kind, Kind::One { home, .. } if *home == thread::current().id())
    }

    /// Whether several requests may use it at a time (HTTP/2).
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Many { .. })
    }

    /// Another handle, if the connection is shared and still takes requests.
    pub(crate) fn share(&self) -> Option<Self> {
        match &self.kind {
            Kind::Many { sender, session } if !sender.is_closed() => {
                let kind = Kind::Many { sender: sender.clone(), session: Arc::clone(session) };
                Some(Self { kind, over_proxy: None })
            }
            _ => None,
        }
    }

    /// Whether both are handles of one shared connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Many { session: one, .. }, Kind::Many { session: other, .. }) => {
                Arc::ptr_eq(one, other)
            }
            _ => false,
        }
    }

    /// Whether this is not its first request, so that the peer may have closed it while it was
    /// idle.
    pub(crate) fn was_used(&self) -> bool {
        1 < match &self.kind {
            Kind::One { requests, .. } => *requests,
            Kind::Many { session, .. } => session.requests.load(Ordering::Relaxed),
        }
    }

    /// Whether the peer ended an HTTP/2 connection because it requires HTTP/1.1.
    pub(super) async fn requires_http1(&self) -> bool {
        let Kind::Many { session, .. } = &self.kind else { return false };
        // The task of the connection may be about to find out.
        tokio::task::yield_now().await;
        session.only_http1.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        match &mut self.kind {
            Kind::One { sender, driver, expecting, requests, .. } => {
                *requests += 1;
                poll_fn(|context| {
                    drive(driver, context);
                    sender.poll_ready(context)
                })
                .await?;
                expecting.head();
                let mut answer = pin!(sender.send_request(request));
                poll_fn(|context| {
                    drive(driver, context);
                    answer.as_mut().poll(context)
                })
                .await
            }
            Kind::Many { sender, session } => {
                session.requests.fetch_add(1, Ordering::Relaxed);
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// The next frame of a body.
    pub(super) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<Frame<Bytes>>> {
        let kind = &mut self.kind;
        poll_fn(|context| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
                return Poll::Ready(frame);
            }
            let Kind::One { driver, .. } = kind else { return Poll::Pending };
            drive(driver, context);
            Pin::new(&mut *body).poll_frame(context)
        })
        .await
    }

    /// Whether a body that yields no more frames is complete. An HTTP/2 stream that was reset with
    /// `NO_ERROR` also just ends (RFC 9113, section 8.1); only `END_STREAM` proves completeness.
    pub(super) fn is_over(&self, body: &Incoming) -> bool {
        !self.is_shared() || body.is_end_stream()
    }

    /// Whether it takes another request: the response was read to its end and both sides keep the
    /// connection open.
    pub(crate) async fn is_reusable(&mut self) -> bool {
        match &mut self.kind {
            Kind::One { sender, driver, .. } => {
                poll_fn(|context| {
                    drive(driver, context);
                    Poll::Ready(
                        driver.is_some()
                            && matches!(sender.poll_ready(context), Poll::Ready(Ok(()))),
                    )
                })
                .await
            }
            Kind::Many { sender, .. } => !sender.is_closed(),
        }
    }
}

/// Lets the connection read and write. Its end and its errors reach the request in progress.
fn drive(driver: &mut Option<Driver>, context: &mut std::task::Context<'_>) {
    if let Some(running) = driver
        && running.as_mut().poll(context).is_ready()
    {
        *driver = None;
    }
}
