//! One request and the head of its answer.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::connection::Connection;
use crate::error::{ErrorKind, Failure};

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// With an answer.
    Answered(Response<Incoming>),
    /// The other side had closed an idle connection: no request was lost, and another connection
    /// may be tried at no cost.
    Stale,
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
        Ok(Err(error)) if connection.was_used() && is_lost(&error) => Exchange::Stale,
        Ok(Err(error)) => Exchange::Failed(explain(&error)),
        Err(_) => Exchange::Failed(Failure::new(
            ErrorKind::Timeout,
            format!("no answer within {} s", limit.as_secs_f32()),
        )),
    }
}

/// Whether the connection ended before a byte of the answer came.
fn is_lost(error: &hyper::Error) -> bool {
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
    if error.is_parse() && !error.is_incomplete_message() {
        return Failure::new(
            ErrorKind::Protocol,
            format!("the answer breaks HTTP after {received}{of} bytes"),
        );
    }
    Failure::new(ErrorKind::Truncated, format!("the file ended at {received}{of} bytes"))
}
