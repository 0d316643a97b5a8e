//! What hyper's errors mean.

use std::error::Error as _;
use std::io;

use super::head::Malformed;
use crate::failure::{ErrorKind, Failure};

/// The error code of HTTP/2 (RFC 9113, section 7).
pub(super) fn reason(error: &hyper::Error) -> Option<h2::Reason> {
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
pub(super) fn is_lost(error: &hyper::Error) -> bool {
    // GOAWAY names the last processed stream; later requests fail with it and are safe to repeat.
    if let Some(error) = over_http2(error) {
        return error.is_go_away() || error.is_io();
    }
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || io_error(error).is_some() && malformed(error).is_none()
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io);
        }
        source = inner.source();
    }
    None
}

/// The line of a head that could not be mended.
pub(super) fn malformed(error: &hyper::Error) -> Option<&Malformed> {
    io_error(error)?.get_ref()?.downcast_ref()
}

/// Explains an error before the head of a response.
pub(super) fn explain(error: &hyper::Error) -> Failure {
    if over_http2(error).is_some_and(|error| !error.is_io() && !error.is_go_away()) {
        return Failure::new(ErrorKind::Protocol, "the server broke off the answer (HTTP/2)");
    }
    if let Some(malformed) = malformed(error) {
        return Failure::new(ErrorKind::Protocol, malformed.to_string())
            .with_hint("its operators have to mend that; `mirrors` names other servers of a file");
    }
    if error.is_parse() {
        return Failure::new(
            ErrorKind::Protocol,
            "the answer is not HTTP/1.1, or its head is too large",
        );
    }
    Failure::new(ErrorKind::Connect, "the connection was lost before the answer")
}

/// Whether an error is that of hyper for a malformed chunk. Those of TLS have these kinds, too.
fn is_malformed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        && error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>())
}

/// Explains an error of a body after `received` bytes of `length`.
pub(super) fn explain_body(error: &hyper::Error, received: u64, length: Option<u64>) -> Failure {
    let of = length.map(|length| format!(" of {length}")).unwrap_or_default();
    // An error that the local HTTP/2 library raised is a violation of the protocol by the peer; any
    // other one is an early end.
    let breach = over_http2(error).is_some_and(|error| error.is_library() && !error.is_io())
        || io_error(error).is_some_and(is_malformed);
    if breach || error.is_parse() && !error.is_incomplete_message() {
        return Failure::new(
            ErrorKind::Protocol,
            format!("the answer breaks HTTP after {received}{of} bytes"),
        );
    }
    Failure::new(ErrorKind::Truncated, format!("the file ended at {received}{of} bytes"))
}
