//! One HTTP/1.1 connection, driven by whoever uses it: no task of its own, so no hand-over between
//! threads for each request.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

/// More header fields than anybody sends in good faith.
pub(super) const MOST_HEADERS: usize = 200;
/// A head of more bytes is an attack; bodies pass through the same buffer piece by piece.
pub(super) const LARGEST_HEAD: usize = 256 * 1024;

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// An open connection to an origin, or to a proxy that asks it.
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: Option<Driver>,
    requests: u64,
    /// A proxy at the other end, which wants whole URLs.
    pub(crate) over_proxy: Option<OverProxy>,
}

/// What a proxy is told with each request.
#[derive(Clone, Debug)]
pub(crate) struct OverProxy {
    /// Who asks.
    pub(crate) auth: Option<HeaderValue>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl Connection {
    /// Speaks HTTP/1.1 over an open stream.
    pub(super) async fn over<S>(stream: S) -> hyper::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = Builder::new()
            .max_headers(MOST_HEADERS)
            .max_header_size(LARGEST_HEAD)
            .max_buf_size(LARGEST_HEAD)
            .handshake(hyper_util::rt::TokioIo::new(stream))
            .await?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), requests: 0, over_proxy: None })
    }

    /// Whether a request went over it before, so that the other side may just have closed it.
    pub(crate) fn was_used(&self) -> bool {
        1 < self.requests
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        self.requests += 1;
        let Self { sender, driver, .. } = self;
        poll_fn(|context| {
            drive(driver, context);
            sender.poll_ready(context)
        })
        .await?;
        let mut answer = pin!(sender.send_request(request));
        poll_fn(|context| {
            drive(driver, context);
            answer.as_mut().poll(context)
        })
        .await
    }

    /// The next piece of a body.
    pub(crate) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<Frame<Bytes>>> {
        let driver = &mut self.driver;
        poll_fn(|context| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
                return Poll::Ready(frame);
            }
            drive(driver, context);
            Pin::new(&mut *body).poll_frame(context)
        })
        .await
    }

    /// Whether another request can go over it: the answer was read to its end and both sides keep
    /// the connection. It is asked right after an answer and before the next request.
    pub(crate) async fn is_reusable(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        poll_fn(|context| {
            drive(driver, context);
            Poll::Ready(
                driver.is_some() && matches!(sender.poll_ready(context), Poll::Ready(Ok(()))),
            )
        })
        .await
    }
}

/// Lets the connection read and write. Its end and its errors reach the request that is under way.
fn drive(driver: &mut Option<Driver>, context: &mut std::task::Context<'_>) {
    if let Some(running) = driver
        && running.as_mut().poll(context).is_ready()
    {
        *driver = None;
    }
}
