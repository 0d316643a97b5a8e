//! One request and the head of its response.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::TRANSFER_ENCODING;

use super::body::Body;
use super::classify::Head;
use super::connection::Connection;
use super::headers::Headers;
use super::request::Message;
use crate::failure::{ErrorKind, Failure};

/// A response whose body is still to come.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Exchange {
    Answered(Response),
    /// The peer had closed an idle connection. The request was not processed, so it may be sent over
    /// another connection at no cost.
    Stale,
    /// The peer did not process the request and takes others (HTTP/2 `REFUSED_STREAM`): it may be
    /// sent again.
    Refused,
    /// The peer objects to the number of requests (HTTP/2 `ENHANCE_YOUR_CALM`).
    Throttled(Failure),
    Failed(Failure),
}

/// Sends a request and waits for the head of the response, at most for `limit`.
pub(crate) async fn exchange(
    connection: &mut Connection,
    message: Message,
    limit: Duration,
) -> Exchange {
    let sent = tokio::time::timeout(limit, connection.send(message.0)).await;
    match sent {
        Ok(Ok(response)) => Exchange::Answered(Response::from(response)),
        Ok(Err(error)) if reason(&error) == Some(h2::Reason::REFUSED_STREAM) => Exchange::Refused,
        Ok(Err(error)) if reason(&error) == Some(h2::Reason::ENHANCE_YOUR_CALM) => {
            let message = "the server asks for calm (HTTP/2)";
            Exchange::Throttled(Failure::new(ErrorKind::Connect, message))
        }
        Ok(Err(error)) if connection.was_used() && is_lost(&error) => Exchange::Stale,
        Ok(Err(error)) => Exchange::Failed(explain(&error)),
        Err(_) => Exchange::Failed(Failure::new(
            ErrorKind::Timeout,
            format!("no answer within {} s", limit.as_secs_f32()),
        )),
    }
}

impl From<hyper::Response<Incoming>> for Response {
    fn from(response: hyper::Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let is_chunked = || {
            parts.headers.get(TRANSFER_ENCODING).is_some_and(|coding| {
                coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
            })
        };
        // HTTP/2 marks the end of a body in its frames.
        let framed = parts.version == hyper::Version::HTTP_2
            || body.size_hint().exact().is_some()
            || is_chunked();
        let (status, headers) = (parts.status.as_u16(), Headers(parts.headers));
        Self { head: Head { status, headers, framed }, body: Body(body) }
    }
}

/// The error code of HTTP/2 (RFC 9113, section 7).
fn reason(error: &hyper::Error) -> Option<h2::Reason> {
    over_http2(error).and_then(h2::Error::reason)
}

fn over_http2(error: &hyper::Error) -> Option<&h2::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<h2::Error>() {
            return Some(error);
        }
        source = inner.source();
    }
    None
}

/// Whether the connection ended before the first byte of the response.
fn is_lost(error: &hyper::Error) -> bool {
    // GOAWAY names the last processed stream; later requests fail with it and are safe to repeat.
    if let Some(error) = over_http2(error) {
        return error.is_go_away() || error.is_io();
    }
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || io_kind(error).is_some()
}

fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = inner.source();
    }
    None
}

fn explain(error: &hyper::Error) -> Failure {
    if over_http2(error).is_some_and(|error| !error.is_io() && !error.is_go_away()) {
        return Failure::new(ErrorKind::Protocol, "the server broke off the answer (HTTP/2)");
    }
    if error.is_parse() {
        return Failure::new(
            ErrorKind::Protocol,
            "the answer is not HTTP/1.1, or its head is too large",
        );
    }
    Failure::new(ErrorKind::Connect, "the connection was lost before the answer")
}

/// Explains an error of a body after `received` bytes of `length`.
pub(super) fn explain_body(error: &hyper::Error, received: u64, length: Option<u64>) -> Failure {
    let of = length.map(|length| format!(" of {length}")).unwrap_or_default();
    // An error that the local HTTP/2 library raised is a violation of the protocol by the peer; any
    // other one is an early end.
    let breach = over_http2(error).is_some_and(|error| error.is_library() && !error.is_io());
    if breach || error.is_parse() && !error.is_incomplete_message() {
        return Failure::new(
            ErrorKind::Protocol,
            format!("the answer breaks HTTP after {received}{of} bytes"),
        );
    }
    Failure::new(ErrorKind::Truncated, format!("the file ended at {received}{of} bytes"))
}
