//! Entries to the connections of `http` and the walk of `dest` for `benches/clients`, and to the laws
//! of `fuzz` for the targets in `fuzz/`.
//!
//! This is not a public API. It exists only with the feature `internals`, and any version may change it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::dest::{Dest, Sighting};
use crate::failure::{ErrorKind, Failure};
pub use crate::fuzz::{LAWS, Law, check};
use crate::http::{
    self, BodyRules, Dial, Exchange, Internet, Length, Method, Network, Receiver, Request, Version,
    Visit, Wanted, exchange, receive,
};
use crate::manifest::{Expect, Http, Proxy};
use crate::pin::Validators;

/// A URL in the form that a request needs.
#[derive(Debug)]
pub struct Target(http::Target);

impl Target {
    /// # Errors
    /// When `url` is not a URL of http or https.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        http::Target::parse(url).map(Self)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection(http::Connection);

/// Opens connections without a proxy and sends requests over them.
#[derive(Debug)]
pub struct Dialer {
    dial: Box<dyn Dial>,
    connect: Duration,
    stall: Duration,
    expect: Expect,
}

impl Dialer {
    /// `connect` limits the opening of a connection; `stall` limits the time without a byte.
    #[must_use]
    pub fn direct(connect: Duration, stall: Duration) -> Self {
        let settings = Http { proxy: Proxy::None, ..Http::default() };
        let dialer = Internet::new(&|_| None).dialer(&settings);
        Self { dial: dialer, connect, stall, expect: Expect::default() }
    }

    /// # Errors
    /// `connect` or `timeout`; for names also `dns`, and for https `tls`.
    pub async fn dial(&self, target: &Target) -> Result<Connection, Failure> {
        let (wanted, version) = (Wanted::Declared, Version::Any);
        self.dial.dial(&target.0.origin, wanted, version, self.connect).await.map(Connection)
    }

    /// Sends a GET request and passes the body to `take`. Returns true if the connection can carry
    /// another request.
    ///
    /// # Errors
    /// When there is no response with status 200, or its body is cut.
    pub async fn get(
        &self,
        connection: &mut Connection,
        target: &Target,
        take: impl FnMut(&[u8]),
    ) -> Result<bool, Failure> {
        let (connection, target) = (&mut connection.0, &target.0);
        let request = Request {
            method: Method::Get,
            conditions: &Validators::default(),
            range: None,
            headers: &[],
            home: target,
            user_agent: None,
            past_caches: false,
        };
        let message = request.message(target, &Visit::default(), connection)?;
        let mut response = match exchange(connection, message, self.stall).await {
            Exchange::Answered(response) if response.head.status == 200 => response,
            Exchange::Failed(failure) | Exchange::Throttled(failure) => return Err(failure),
            other => return Err(Failure::new(ErrorKind::HttpStatus, format!("{other:?}"))),
        };
        let rules = BodyRules {
            length: None,
            expect: &self.expect,
            known: Length::Unknown,
            stall: self.stall,
            min_rate: 0,
        };
        let mut taker = Taker { take, received: 0 };
        receive(connection, &mut response.body, &rules, &[], &mut taker, |_| {}).await?;
        Ok(connection.is_reusable().await)
    }
}

struct Taker<F> {
    take: F,
    received: u64,
}

impl<F: FnMut(&[u8])> Receiver for Taker<F> {
    fn received(&self) -> u64 {
        self.received
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        (self.take)(piece);
        self.received += piece.len() as u64;
        Ok(())
    }
}

/// Walks a directory with this number of threads. Returns the number of files and their bytes.
///
/// # Errors
/// When a directory or a file cannot be read.
pub fn walk(directory: &Path, threads: usize) -> io::Result<(u64, u64)> {
    let dest = Dest::open(directory).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let dest = dest.ok_or(io::ErrorKind::NotFound)?;
    let (files, bytes, unreadable) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let walk = dest.walk();
    let help = || {
        walk.help(
            |_, sighting| match sighting {
                Sighting::File(stat) => {
                    files.fetch_add(1, Ordering::Relaxed);
                    bytes.fetch_add(stat.size, Ordering::Relaxed);
                }
                Sighting::Unreadable(_) => _ = unreadable.fetch_add(1, Ordering::Relaxed),
                _ => {}
            },
            || true,
        );
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(help);
        }
        help();
    });
    if 0 < unreadable.into_inner() {
        return Err(io::Error::other("a part of the directory cannot be read"));
    }
    Ok((files.into_inner(), bytes.into_inner()))
}
