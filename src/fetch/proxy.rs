//! Which proxy a request goes through, and the tunnel through one.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::upgrade::Upgraded;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::origin::{Origin, Target};
use crate::error::{ErrorKind, Failure};

/// The proxy for one origin.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    /// Where it listens.
    pub(crate) origin: Origin,
    /// What it is told about the user.
    pub(crate) auth: Option<HeaderValue>,
}

/// Chooses proxies: the manifest's, or else those of the environment (`http_proxy`, `https_proxy`,
/// `all_proxy`, in either case), less what `no_proxy` names.
#[derive(Debug)]
pub(super) struct Proxies(Matcher);

impl Proxies {
    pub(super) fn new(declared: Option<&str>) -> Self {
        match declared {
            Some(proxy) => {
                let exempt =
                    ["no_proxy", "NO_PROXY"].iter().find_map(|name| std::env::var(name).ok());
                Self(Matcher::builder().all(proxy).no(exempt.unwrap_or_default()).build())
            }
            None => Self(Matcher::from_env()),
        }
    }

    /// The proxy for an origin, if it has one.
    pub(super) fn via(&self, origin: &Origin) -> Result<Option<Via>, Failure> {
        let Ok(uri) = origin.url().parse() else {
            return Ok(None);
        };
        let Some(intercept) = self.0.intercept(&uri) else {
            return Ok(None);
        };
        let scheme = intercept.uri().scheme_str().unwrap_or("http");
        if scheme != "http" {
            let message = format!("a proxy of the kind `{scheme}` is not supported, only http");
            return Err(Failure::new(ErrorKind::Connect, message));
        }
        let proxy = Target::parse(&format!(
            "http://{}/",
            intercept.uri().authority().map(ToString::to_string).unwrap_or_default()
        ))
        .map_err(|_| Failure::new(ErrorKind::Connect, "the proxy's URL cannot be used"))?;
        Ok(Some(Via { origin: proxy.origin, auth: intercept.basic_auth().cloned() }))
    }
}

/// Asks a proxy for a tunnel to an origin (RFC 9110, section 9.3.6).
pub(super) async fn tunnel(
    stream: TcpStream,
    origin: &Origin,
    via: &Via,
) -> Result<TokioIo<Upgraded>, Failure> {
    let proxy = &via.origin;
    let lost = || {
        Failure::new(ErrorKind::Connect, format!("the proxy {proxy} opened no tunnel to {origin}"))
    };
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(super::connection::MOST_HEADERS)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|_| lost())?;
    let driver = tokio::spawn(connection.with_upgrades());
    let authority = format!("{}:{}", origin.host, origin.port);
    let mut request = Request::connect(&authority).body(Empty::new()).map_err(|_| lost())?;
    let host = HeaderValue::from_str(&authority).map_err(|_| lost())?;
    request.headers_mut().insert(HOST, host);
    if let Some(auth) = &via.auth {
        request.headers_mut().insert(PROXY_AUTHORIZATION, auth.clone());
    }
    let answer = sender.send_request(request).await.map_err(|_| lost())?;
    let status = answer.status();
    if !status.is_success() {
        driver.abort();
        let message =
            format!("the proxy {proxy} answers {} to a tunnel to {origin}", status.as_u16());
        return Err(Failure::new(ErrorKind::Connect, message).with_status(status.as_u16()));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|_| lost())?;
    Ok(TokioIo::new(upgraded))
}
