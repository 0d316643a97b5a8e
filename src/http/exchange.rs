//! One request and the head of its answer.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::connection::Connection;
use crate::failure::{ErrorKind, Failure};

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// With an answer.
    Answered(Response<Incoming>),
    /// The other side had closed an idle connection: no request was lost, and another connection
    /// may be tried at no cost.
    Stale,
    /// The other side took no notice of the request, and takes others: it may be made once more.
    Refused,
    /// Without an answer, since the other side has had enough of us.
    Throttled(Failure),
    /// Without an answer.
    Failed(Failure),
}

/// Sends a request and waits for the head of the answer, at most so long.
pub(crate) async fn exchange(
    connection: &mut Connection,
    request: Request<Empty<Bytes>>,
    limit: Duration,
) -> Exchange {
    let sent = tokio::time::timeout(limit, connection.send(request)).await;
    match sent {
        Ok(Ok(answer)) => Exchange::Answered(answer),
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

/// What HTTP/2 calls an error (RFC 9113, section 7).
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

/// Whether the connection ended before a byte of the answer came.
fn is_lost(error: &hyper::Error) -> bool {
    // Who says goodbye tells which requests were heard; the others fail with that.
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

/// What a body's error means, after so many bytes.
pub(super) fn explain_body(error: &hyper::Error, received: u64, length: Option<u64>) -> Failure {
    let of = length.map(|length| format!(" of {length}")).unwrap_or_default();
    // What our own side found is a breach; all else is an end that came too early.
    let breach = over_http2(error).is_some_and(|error| error.is_library() && !error.is_io());
    if breach || error.is_parse() && !error.is_incomplete_message() {
        return Failure::new(
            ErrorKind::Protocol,
            format!("the answer breaks HTTP after {received}{of} bytes"),
        );
    }
    Failure::new(ErrorKind::Truncated, format!("the file ended at {received}{of} bytes"))
}
