//! One request and the head of its response.

use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::TRANSFER_ENCODING;

use super::body::Body;
use super::classify::Head;
use super::connection::Connection;
use super::errors::{explain, is_lost, reason};
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
    /// The peer had closed an idle connection. The request was not processed, so it may be sent
    /// over another connection at no cost.
    Stale,
    /// The peer did not process the request and takes others (HTTP/2 `REFUSED_STREAM`): it may be
    /// sent again.
    Refused,
    /// The peer serves this over HTTP/1.1 only (HTTP/2 `HTTP_1_1_REQUIRED`).
    OnlyHttp1,
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
        Ok(Err(error)) if reason(&error) == Some(h2::Reason::HTTP_1_1_REQUIRED) => {
            Exchange::OnlyHttp1
        }
        Ok(Err(error)) if reason(&error) == Some(h2::Reason::ENHANCE_YOUR_CALM) => {
            let message = "the server asks for calm (HTTP/2)";
            Exchange::Throttled(Failure::new(ErrorKind::Connect, message))
        }
        Ok(Err(error)) if is_lost(&error) && connection.requires_http1().await => {
            Exchange::OnlyHttp1
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
