//! Opening a connection to an origin: its addresses, the proxy if any, TLS.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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

/// Opens connections, by the proxy and with the trust of one source or several.
#[derive(Debug)]
pub(crate) struct Dialer {
    names: Arc<Names>,
    tls: Tls,
    proxies: Proxies,
    http2: Http2,
}

/// How a connection came to be wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The manifest, or the user, named the host.
    Declared,
    /// A server sent us there: it may not choose every address.
    Redirected,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug)]
enum Step {
    Name,
    Connection,
    Tunnel,
    Handshake,
}

impl Dialer {
    /// With the settings of a source. `names` is shared by all.
    #[expect(clippy::disallowed_methods, reason = "the proxy variables of the process")]
    pub(crate) fn new(http: &Http, names: Arc<Names>) -> Self {
        let ca_file: Option<PathBuf> = http.ca_file.clone();
        let proxies = Proxies::new(&http.proxy, &|name| std::env::var(name).ok());
        Self { names, tls: Tls::new(ca_file, http.http2), proxies, http2: http.http2 }
    }

    /// Opens a connection, within that time.
    ///
    /// # Errors
    /// `dns`, `connect`, `tls` or `timeout`; `redirect` where a redirect's host has a forbidden address.
    pub(crate) async fn dial(
        &self,
        origin: &Origin,
        wanted: Wanted,
        within: Duration,
    ) -> Result<Connection, Failure> {
        let step = Cell::new(Step::Name);
        match tokio::time::timeout(within, self.open(origin, wanted, &step)).await {
            Ok(opened) => opened,
            Err(_) => Err(self.too_late(origin, step.get(), within)),
        }
        .map_err(|failure| failure.at_origin(&origin.to_string()))
    }

    /// The proxy that an origin is asked through, if there is one.
    pub(crate) fn proxy_of(&self, origin: &Origin) -> Option<Origin> {
        self.proxies.via(origin).ok().flatten().map(|via| via.origin)
    }

    /// Time is up: what took so long decides what is said.
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
            let stream: Direct = self.tls.connect(stream, origin).await?;
            return self.speak(stream, origin).await;
        };
        let addresses = self.names.resolve(&via.origin, Some(&via)).await?;
        step.set(Step::Connection);
        let stream = reach(&addresses, &via.origin, Some(&via)).await?;
        if origin.secure {
            step.set(Step::Tunnel);
            let stream = tunnel(stream, origin, &via).await?;
            step.set(Step::Handshake);
            // hyper's own traits on the upgraded stream are turned back into tokio's.
            let stream = self.tls.connect(stream, origin).await?;
            return self.speak(stream, origin).await;
        }
        let mut connection = Connection::over(stream).await.map_err(broken)?;
        connection.over_proxy = Some(OverProxy { auth: via.auth });
        Ok(connection)
    }

    /// Speaks what both sides agreed on.
    async fn speak<S>(&self, stream: TlsStream<S>, origin: &Origin) -> Result<Connection, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let spoken = if agreed_on_http2(&stream, origin, self.http2)? {
            Connection::shared_over(stream).await
        } else {
            Connection::over(stream).await
        };
        spoken.map_err(|_| Failure::new(ErrorKind::Connect, format!("cannot speak to {origin}")))
    }

    /// Whether connections to an origin may turn out to be ones that several share.
    pub(crate) fn may_share(&self, origin: &Origin) -> bool {
        origin.secure && self.http2 != Http2::Never
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
