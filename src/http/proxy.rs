//! The tunnel through a proxy.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::connection::MOST_HEADERS;
use super::errors::malformed;
use super::head::LARGEST_HEAD;
use super::heads::Heads;
use super::origin::Origin;
use super::proxies::Via;
use crate::failure::{ErrorKind, Failure};

/// Requests a tunnel to an origin from a proxy (RFC 9110, section 9.3.6). The body of a refusal is
/// dropped.
pub(super) async fn tunnel(
    stream: TcpStream,
    origin: &Origin,
    via: &Via,
) -> Result<TokioIo<Upgraded>, Failure> {
    let proxy = &via.origin;
    let fail = |why: &str| {
        let message = format!("the proxy {proxy} opened no tunnel to {origin}: {why}");
        Failure::new(ErrorKind::Connect, message)
    };
    let lost = |error: hyper::Error| match malformed(&error) {
        Some(malformed) => fail(&malformed.to_string()),
        None if error.is_parse() => fail("its answer is not HTTP/1.1, or its head is too large"),
        None => fail("the connection was lost"),
    };
    let (stream, expecting) = Heads::of(stream);
    expecting.head();
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(MOST_HEADERS)
        .max_header_size(LARGEST_HEAD)
        .max_buf_size(LARGEST_HEAD)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(lost)?;
    let driver = tokio::spawn(connection.with_upgrades());
    let authority = format!("{}:{}", origin.host, origin.port);
    let unusable = || fail("its name cannot be sent");
    let mut request = Request::connect(&authority).body(Empty::new()).map_err(|_| unusable())?;
    let host = HeaderValue::from_str(&authority).map_err(|_| unusable())?;
    request.headers_mut().insert(HOST, host);
    if let Some(auth) = &via.auth {
        request.headers_mut().insert(PROXY_AUTHORIZATION, auth.clone());
    }
    let answer = sender.send_request(request).await.map_err(lost)?;
    let status = answer.status();
    if !status.is_success() {
        driver.abort();
        let reason = status.canonical_reason().map(|reason| format!(" {reason}"));
        let answers = format!("it answers {}{}", status.as_u16(), reason.unwrap_or_default());
        let failure = fail(&answers).with_status(status.as_u16());
        return Err(match status.as_u16() {
            407 => failure.with_hint("give the proxy's user and password in its URL").lasting(),
            // A client error: the proxy understood the request and refuses it.
            400..500 if status.as_u16() != 429 => failure.lasting(),
            _ => failure,
        });
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(lost)?;
    Ok(TokioIo::new(upgraded))
}
