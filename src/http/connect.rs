//! Opening connections: the addresses of an origin, its proxy if any, TLS.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;

use super::connection::{Connection, OverProxy};
use super::names::Names;
use super::origin::{Origin, is_link_local};
use super::proxies::Proxies;
use super::proxy::tunnel;
use super::reach::reach;
use super::tls::{Direct, Tls, agreed_on_http2};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::{Http, Http2};
use crate::threads::lock;

/// Where connections come from: the real network, or a simulated one.
pub(crate) trait Network: Debug + Sync {
    /// What opens connections under these settings.
    fn dialer(&self, http: &Http) -> Box<dyn Dial>;
}

/// Opens connections in one way: with one proxy and one set of trusted certificates.
pub(crate) trait Dial: Debug + Send + Sync {
    /// Opens a connection, within that time. After a success with [`Version::OnlyHttp1`], further
    /// connections to the origin use HTTP/1.1, too.
    ///
    /// # Errors
    /// `dns`, `connect`, `tls` or `timeout`; `redirect` if a redirect's host has a forbidden
    /// address.
    fn dial<'a>(
        &'a self,
        origin: &'a Origin,
        wanted: Wanted,
        version: Version,
        within: Duration,
    ) -> LocalBoxFuture<'a, Result<Connection, Failure>>;

    /// Whether a connection to this origin may turn out to be shared (HTTP/2).
    fn may_share(&self, origin: &Origin) -> bool;

    /// The proxy for an origin, if there is one.
    fn proxy_of(&self, origin: &Origin) -> Option<Origin>;
}

/// The network of this machine.
pub(crate) struct Internet<'e> {
    names: Arc<Names>,
    env: &'e (dyn Fn(&str) -> Option<String> + Sync),
}

impl<'e> Internet<'e> {
    /// `env` looks up environment variables, which may name proxies.
    pub(crate) fn new(env: &'e (dyn Fn(&str) -> Option<String> + Sync)) -> Self {
        Self { names: Arc::default(), env }
    }
}

impl Debug for Internet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Internet").finish_non_exhaustive()
    }
}

impl Network for Internet<'_> {
    fn dialer(&self, http: &Http) -> Box<dyn Dial> {
        let ca_file: Option<PathBuf> = http.ca_file.clone();
        Box::new(Dialer {
            names: Arc::clone(&self.names),
            tls: Tls::new(ca_file),
            proxies: Proxies::new(&http.proxy, self.env),
            http2: http.http2,
            only_http1: Mutex::default(),
        })
    }
}

#[derive(Debug)]
struct Dialer {
    names: Arc<Names>,
    tls: Tls,
    proxies: Proxies,
    http2: Http2,
    /// Origins that require HTTP/1.1.
    only_http1: Mutex<HashSet<Origin>>,
}

/// How a connection came to be wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The manifest or the user named the host.
    Declared,
    /// A server redirected to the host, so link-local addresses are forbidden.
    Redirected,
}

/// Which versions of HTTP a connection may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Those that the settings allow.
    Any,
    /// HTTP/1.1: the origin requires it.
    OnlyHttp1,
}

/// The step that opening a connection has reached.
#[derive(Clone, Copy, Debug)]
enum Step {
    Name,
    Connection,
    Tunnel,
    Handshake,
}

impl Dial for Dialer {
    fn dial<'a>(
        &'a self,
        origin: &'a Origin,
        wanted: Wanted,
        version: Version,
        within: Duration,
    ) -> LocalBoxFuture<'a, Result<Connection, Failure>> {
        // Large and rarely needed, so it must not be a part of the future of each transfer.
        Box::pin(async move {
            let step = Cell::new(Step::Name);
            let opened =
                match tokio::time::timeout(within, self.open(origin, wanted, version, &step)).await
                {
                    Ok(opened) => opened,
                    Err(_) => Err(self.too_late(origin, step.get(), within)),
                };
            if version == Version::OnlyHttp1 && opened.is_ok() {
                lock(&self.only_http1).insert(origin.clone());
            }
            opened.map_err(|failure| failure.at_origin(&origin.to_string()))
        })
    }

    fn may_share(&self, origin: &Origin) -> bool {
        origin.secure && self.http2_with(origin, Version::Any) != Http2::Never
    }

    fn proxy_of(&self, origin: &Origin) -> Option<Origin> {
        self.proxies.via(origin).ok().flatten().map(|via| via.origin)
    }
}

impl Dialer {
    fn http2_with(&self, origin: &Origin, version: Version) -> Http2 {
        let never = version == Version::OnlyHttp1 || lock(&self.only_http1).contains(origin);
        if never { Http2::Never } else { self.http2 }
    }

    /// The failure of an attempt that timed out; it depends on the step that was under way.
    fn too_late(&self, origin: &Origin, step: Step, within: Duration) -> Failure {
        let seconds = within.as_secs_f32();
        let proxy = self.proxy_of(origin);
        let asked =
            proxy.as_ref().map_or_else(|| origin.to_string(), |at| format!("the proxy {at}"));
        match step {
            Step::Name => {
                let message = format!("cannot resolve the name of {asked} within {seconds} s");
                Failure::new(ErrorKind::Dns, message)
            }
            Step::Connection => {
                let message = format!("no connection to {asked} within {seconds} s");
                Failure::new(ErrorKind::Timeout, message)
            }
            Step::Tunnel => {
                let message = format!("{asked} opened no tunnel to {origin} within {seconds} s");
                Failure::new(ErrorKind::Timeout, message)
            }
            Step::Handshake => {
                let message = format!("no TLS handshake with {origin} within {seconds} s");
                Failure::new(ErrorKind::Timeout, message)
            }
        }
    }

    async fn open(
        &self,
        origin: &Origin,
        wanted: Wanted,
        version: Version,
        step: &Cell<Step>,
    ) -> Result<Connection, Failure> {
        let broken = |_| Failure::new(ErrorKind::Connect, format!("cannot speak to {origin}"));
        let Some(via) = self.proxies.via(origin)? else {
            let addresses = self.names.resolve(origin, None).await?;
            step.set(Step::Connection);
            let stream = reach(&allowed(addresses, wanted, origin)?, origin, None).await?;
            if !origin.secure {
                return Connection::over(stream).await.map_err(broken);
            }
            step.set(Step::Handshake);
            let http2 = self.http2_with(origin, version);
            let stream: Direct = self.tls.connect(stream, origin, http2).await?;
            return self.speak(stream, origin, http2).await;
        };
        let addresses = self.names.resolve(&via.origin, Some(&via)).await?;
        step.set(Step::Connection);
        let stream = reach(&addresses, &via.origin, Some(&via)).await?;
        if origin.secure {
            step.set(Step::Tunnel);
            let stream = tunnel(stream, origin, &via).await?;
            step.set(Step::Handshake);
            let http2 = self.http2_with(origin, version);
            let stream = self.tls.connect(stream, origin, http2).await?;
            return self.speak(stream, origin, http2).await;
        }
        let mut connection = Connection::over(stream).await.map_err(broken)?;
        connection.over_proxy = Some(OverProxy { auth: via.auth });
        Ok(connection)
    }

    /// Starts the version of HTTP that both sides agreed on.
    async fn speak<S>(
        &self,
        stream: TlsStream<S>,
        origin: &Origin,
        http2: Http2,
    ) -> Result<Connection, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let spoken = if agreed_on_http2(&stream, origin, http2)? {
            Connection::shared_over(stream).await
        } else {
            Connection::over(stream).await
        };
        spoken.map_err(|_| Failure::new(ErrorKind::Connect, format!("cannot speak to {origin}")))
    }
}

fn allowed(
    addresses: Vec<SocketAddr>,
    wanted: Wanted,
    origin: &Origin,
) -> Result<Vec<SocketAddr>, Failure> {
    if wanted == Wanted::Declared {
        return Ok(addresses);
    }
    let kept: Vec<_> =
        addresses.into_iter().filter(|address| !is_link_local(address.ip())).collect();
    if kept.is_empty() {
        let message = format!("a redirect leads to {origin}, which has a link-local address");
        return Err(Failure::new(ErrorKind::Redirect, message));
    }
    Ok(kept)
}
