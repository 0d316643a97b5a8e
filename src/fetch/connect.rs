//! Opening a connection to an origin: its addresses, the proxy if any, TLS.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::connection::{Connection, OverProxy};
use super::origin::{Origin, is_link_local};
use super::proxy::{Proxies, Via, tunnel};
use super::tls::{Direct, Tls, agreed_on_http2};
use crate::error::{ErrorKind, Failure};
use crate::manifest::{Http, Http2, Secret};

/// How long an address is remembered: a run's burst of connections asks once, a long run follows
/// changes.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How long one address may take before the next is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

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

impl Dialer {
    /// With the settings of a source. `names` is shared by all.
    pub(crate) fn new(http: &Http, names: Arc<Names>) -> Self {
        let ca_file: Option<PathBuf> = http.ca_file.clone();
        let proxies = Proxies::new(http.proxy.as_ref().map(Secret::expose));
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
        let seconds = within.as_secs_f32();
        match tokio::time::timeout(within, self.open(origin, wanted)).await {
            Ok(opened) => opened,
            Err(_) => Err(Failure::new(
                ErrorKind::Timeout,
                format!("no connection to {origin} within {seconds} s"),
            )),
        }
        .map_err(|failure| failure.at_origin(&origin.to_string()))
    }

    async fn open(&self, origin: &Origin, wanted: Wanted) -> Result<Connection, Failure> {
        let broken = |_| Failure::new(ErrorKind::Connect, format!("cannot speak to {origin}"));
        let Some(via) = self.proxies.via(origin)? else {
            let addresses = self.names.resolve(origin, None).await?;
            let stream = reach(&allowed(addresses, wanted, origin)?, origin, None).await?;
            if !origin.secure {
                return Connection::over(stream).await.map_err(broken);
            }
            let stream: Direct = self.tls.connect(stream, origin).await?;
            return self.speak(stream, origin).await;
        };
        let addresses = self.names.resolve(&via.origin, Some(&via)).await?;
        let stream = reach(&addresses, &via.origin, Some(&via)).await?;
        if origin.secure {
            let stream = tunnel(stream, origin, &via).await?;
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

/// Connects to the first address that answers; the next is tried beside a slow one.
async fn reach(
    addresses: &[SocketAddr],
    origin: &Origin,
    via: Option<&Via>,
) -> Result<TcpStream, Failure> {
    let mut attempts = JoinSet::new();
    let mut rest = addresses.iter();
    let mut last = None;
    loop {
        if let Some(&address) = rest.next() {
            attempts.spawn(TcpStream::connect(address));
        } else if attempts.is_empty() {
            return Err(refused(origin, via, last.as_ref()));
        }
        let finished = if rest.len() == 0 {
            attempts.join_next().await
        } else {
            tokio::time::timeout(STAGGER, attempts.join_next()).await.unwrap_or(None)
        };
        match finished {
            Some(Ok(Ok(stream))) => {
                // Requests are small and wait for nothing.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Some(Ok(Err(error))) => last = Some(error),
            Some(Err(_)) | None => {}
        }
    }
}

fn refused(origin: &Origin, via: Option<&Via>, error: Option<&io::Error>) -> Failure {
    let what = match error.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "the connection was refused".to_owned(),
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            "it cannot be reached from here".to_owned()
        }
        Some(io::ErrorKind::TimedOut) => "it does not answer".to_owned(),
        _ => error.map_or_else(|| "it has no address".to_owned(), ToString::to_string),
    };
    let proxy = if via.is_some() { "the proxy " } else { "" };
    Failure::new(ErrorKind::Connect, format!("cannot connect to {proxy}{origin}: {what}"))
}

/// Addresses of names, asked for once however many connections want them at a time.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<(String, u16), Arc<Cell>>>);

/// Who asks for a name waits for whom is asking already.
type Cell = tokio::sync::Mutex<Option<Known>>;

#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    since: Instant,
}

impl Names {
    async fn resolve(
        &self,
        origin: &Origin,
        via: Option<&Via>,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let host = origin.bare_host();
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, origin.port)]);
        }
        let cell = {
            let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(names.entry((host.to_owned(), origin.port)).or_default())
        };
        let mut known = cell.lock().await;
        if let Some(known) = &*known
            && known.since.elapsed() < REMEMBERED
        {
            return Ok(known.addresses.clone());
        }
        match tokio::net::lookup_host((host, origin.port)).await {
            Ok(found) => {
                let addresses: Vec<_> = found.collect();
                *known = Some(Known { addresses: addresses.clone(), since: Instant::now() });
                Ok(addresses)
            }
            Err(error) => Err(unresolved(origin, via, &error)),
        }
    }
}

/// The standard library gives the resolver's word only as text.
fn unresolved(origin: &Origin, via: Option<&Via>, error: &io::Error) -> Failure {
    let proxy = if via.is_some() { "the proxy's name " } else { "" };
    let what = if error.to_string().contains("Temporary failure") {
        "the name server does not answer"
    } else {
        "there is no such name"
    };
    Failure::new(ErrorKind::Dns, format!("cannot resolve {proxy}`{}`: {what}", origin.shown_host()))
}
