//! The simulated origins: what they serve, what they do wrong, and what they see.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::time::Instant;

use super::fault::{Act, Fault};
use super::line::Line;
use super::message::Request;
use super::quirk::Quirk;
use crate::failure::{ErrorKind, Failure};
use crate::http::{Connection, Dial, Network, Origin, Version, Wanted};
use crate::manifest::Http;
use crate::threads::lock;

/// All simulated origins, `http://h0.test` and so on. Any of them serves any path.
#[derive(Clone)]
pub(super) struct World(Arc<Mutex<Inner>>);

struct Inner {
    rng: fastrand::Rng,
    hosts: Vec<Host>,
    /// The longest silence that the client accepts.
    silence: Duration,
    /// The bytes of each path, in all versions so far.
    files: HashMap<String, Vec<Arc<[u8]>>>,
    /// Paths of which a plain GET was told that they do not exist.
    gone: HashSet<String>,
    /// Connections in all.
    open: usize,
    /// The most that may be open in all, and at one host.
    bounds: (usize, usize),
    /// What contradicted a law.
    broken: Vec<String>,
    /// Connections that were made or refused.
    dials: usize,
    /// Transfers: the number of the connection, its host, and when the transfer began and ended.
    transfers: Vec<(u64, usize, Instant, Option<Instant>)>,
    lines: u64,
    arrivals: Vec<Arrival>,
    /// Counts what happens at the origins.
    events: u64,
}

/// What one host does wrong.
#[derive(Clone, Debug)]
pub(super) struct Temper {
    /// The faults that it shows.
    pub(super) faults: Vec<Fault>,
    /// How many of a hundred requests meet a fault.
    pub(super) share: u32,
    /// How many of a hundred connections are refused, and how many meet silence.
    pub(super) refused: u32,
    pub(super) unanswered: u32,
    /// The connections that are served, and what becomes of further ones.
    pub(super) limit: Option<(usize, Excess)>,
    /// What it always does.
    pub(super) quirk: Option<Quirk>,
    /// Files that are broken for good, by the numbers in their names.
    pub(super) broken: Option<(Range<u32>, Fault)>,
    /// Files with even numbers are at this other host, to which a redirect leads.
    pub(super) leads_to: Option<usize>,
    /// After this many faults, requests for a file are answered.
    pub(super) faults_a_file: u32,
    /// After that many requests, each request in progress adds this time to the latency.
    pub(super) slowing: (usize, Duration),
}

impl Temper {
    /// A host without faults.
    pub(super) fn good() -> Self {
        Self {
            faults: Vec::new(),
            share: 0,
            refused: 0,
            unanswered: 0,
            limit: None,
            quirk: None,
            broken: None,
            leads_to: None,
            faults_a_file: u32::MAX,
            slowing: (0, Duration::ZERO),
        }
    }
}

/// What becomes of connections beyond those that a host serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// Each request gets this status.
    Status(u16),
    Close,
    Reset,
}

/// A request as its host saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    /// Requests in progress at the host, this one included.
    pub(super) in_progress: usize,
}

/// One host.
struct Host {
    temper: Temper,
    /// Faults and requests of each path.
    faults: HashMap<String, u32>,
    requests: HashMap<String, u32>,
    open: usize,
    in_progress: usize,
    down_until: Option<Instant>,
    resets: Vec<Weak<AtomicBool>>,
    wake: Arc<tokio::sync::Notify>,
}

/// Counts a connection while it exists.
pub(super) struct Open {
    world: World,
    host: usize,
    line: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut inner = self.world.lock();
        inner.open -= 1;
        inner.hosts[self.host].open -= 1;
        inner.end_transfer(self.line);
    }
}

impl Inner {
    fn end_transfer(&mut self, line: u64) {
        for (of, _, _, ended) in self.transfers.iter_mut().rev() {
            if *of == line {
                ended.get_or_insert_with(Instant::now);
                return;
            }
        }
    }
}

/// Counts a request while it is in progress.
struct Progress<'a> {
    world: &'a World,
    host: usize,
}

impl<'a> Progress<'a> {
    fn new(world: &'a World, host: usize) -> Self {
        world.lock().hosts[host].in_progress += 1;
        Self { world, host }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.world.lock().hosts[self.host].in_progress -= 1;
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl Network for World {
    fn dialer(&self, _: &Http) -> Box<dyn Dial> {
        Box::new(self.clone())
    }
}

impl Dial for World {
    fn dial<'a>(
        &'a self,
        origin: &'a Origin,
        _: Wanted,
        _: Version,
        within: Duration,
    ) -> LocalBoxFuture<'a, Result<Connection, Failure>> {
        Box::pin(async move {
            let late = || Failure::new(ErrorKind::Timeout, "no connection in time");
            let opened = tokio::time::timeout(within, self.open(origin)).await;
            opened.map_err(|_| late())?.map_err(|failure| failure.at_origin(&origin.to_string()))
        })
    }

    fn may_share(&self, _: &Origin) -> bool {
        false
    }

    fn proxy_of(&self, _: &Origin) -> Option<Origin> {
        None
    }
}

impl World {
    /// A world of these hosts. `bounds`: the most connections in all, and at one host.
    pub(super) fn new(
        seed: u64,
        tempers: Vec<Temper>,
        silence: Duration,
        bounds: (usize, usize),
    ) -> Self {
        let host = |temper| Host {
            temper,
            faults: HashMap::new(),
            requests: HashMap::new(),
            open: 0,
            in_progress: 0,
            down_until: None,
            resets: Vec::new(),
            wake: Arc::default(),
        };
        let hosts = tempers.into_iter().map(host).collect();
        Self(Arc::new(Mutex::new(Inner {
            rng: fastrand::Rng::with_seed(seed),
            hosts,
            silence,
            files: HashMap::new(),
            gone: HashSet::new(),
            open: 0,
            bounds,
            broken: Vec::new(),
            dials: 0,
            transfers: Vec::new(),
            lines: 0,
            arrivals: Vec::new(),
            events: 0,
        })))
    }

    /// Whether these are the bytes of a path, in any version that was served so far.
    pub(super) fn has(&self, path: &str, bytes: &[u8]) -> bool {
        let inner = self.lock();
        let versions = inner.files.get(path);
        versions.is_some_and(|versions| versions.iter().any(|version| **version == *bytes))
    }

    /// The bytes of a path that was not requested yet.
    pub(super) fn publish(&self, path: &str) -> Arc<[u8]> {
        let bytes = content(path, 0);
        self.lock().files.insert(path.to_owned(), vec![Arc::clone(&bytes)]);
        bytes
    }

    /// Sets the bytes of a path that was not requested yet.
    pub(super) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.lock().files.insert(path.to_owned(), vec![bytes.into()]);
    }

    /// Whether a plain GET of a path was told that it does not exist.
    pub(super) fn is_gone(&self, path: &str) -> bool {
        self.lock().gone.contains(path)
    }

    /// Lets every host work without faults from now on.
    pub(super) fn heal(&self) {
        for host in &mut self.lock().hosts {
            host.temper = Temper::good();
            host.down_until = None;
        }
    }

    pub(super) fn broken(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().broken)
    }

    /// Whether a host sent the bytes of a file over one connection in all of that time.
    pub(super) fn served(&self, host: usize, from: Instant, to: Instant) -> bool {
        self.lock().transfers.iter().any(|&(_, at, began, ended)| {
            at == host && began <= from && ended.is_none_or(|ended| to < ended)
        })
    }

    /// Requests, and connections that were made or refused.
    pub(super) fn tries(&self) -> usize {
        let inner = self.lock();
        inner.arrivals.len() + inner.dials
    }

    pub(super) fn requests(&self) -> usize {
        self.lock().arrivals.len()
    }

    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.lock().arrivals.clone()
    }

    /// The most requests for one path at one host.
    pub(super) fn most_requests(&self) -> u32 {
        let inner = self.lock();
        let requests = inner.hosts.iter().flat_map(|host| host.requests.values());
        requests.max().copied().unwrap_or(0)
    }

    /// Returns when nothing happened at any origin for that time.
    pub(super) async fn idle(&self, time: Duration) {
        let mut before = None;
        loop {
            let events = self.lock().events;
            if before.replace(events) == Some(events) {
                return;
            }
            tokio::time::sleep(time).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }

    async fn open(&self, origin: &Origin) -> Result<Connection, Failure> {
        let number = origin.host.strip_prefix('h').and_then(|rest| rest.split('.').next());
        let unknown = || Failure::new(ErrorKind::Dns, "there is no such name").lasting();
        let host: usize = number.and_then(|number| number.parse().ok()).ok_or_else(unknown)?;
        let (delay, answers, accepts) = {
            let mut inner = self.lock();
            inner.events += 1;
            inner.dials += 1;
            let delay = Duration::from_micros(inner.rng.u64(100..5_000));
            let (refused, answered) = (inner.rng.u32(0..100), inner.rng.u32(0..100));
            let there = &inner.hosts[host];
            let is_down = there.down_until.is_some_and(|until| Instant::now() < until);
            (
                delay,
                there.temper.unanswered <= answered,
                !is_down && there.temper.refused <= refused,
            )
        };
        tokio::time::sleep(delay).await;
        if !answers {
            std::future::pending::<()>().await;
        }
        if !accepts {
            return Err(Failure::new(ErrorKind::Connect, "the connection was refused"));
        }
        let (near, far) = tokio::io::duplex(64 * 1024);
        let reset = Arc::new(AtomicBool::new(false));
        let (open, excess, wake) = self.accept(host, &reset);
        let (world, number) = (self.clone(), open.line);
        let was_reset = Arc::clone(&reset);
        match excess {
            Some(Excess::Close) => drop(far),
            Some(Excess::Reset) => reset.store(true, Ordering::Relaxed),
            _ => drop(tokio::spawn(async move {
                let serving = world.serve(host, number, far, excess);
                tokio::pin!(serving);
                loop {
                    let woken = wake.notified();
                    tokio::select! {
                        biased;
                        () = &mut serving => return,
                        () = woken => if was_reset.load(Ordering::Relaxed) { return },
                    }
                }
            })),
        }
        let line = Line { stream: near, reset, _open: open };
        let lost = |_| Failure::new(ErrorKind::Connect, "the connection was lost");
        Connection::over(line).await.map_err(lost)
    }

    fn accept(
        &self,
        host: usize,
        reset: &Arc<AtomicBool>,
    ) -> (Open, Option<Excess>, Arc<tokio::sync::Notify>) {
        let mut inner = self.lock();
        inner.open += 1;
        let all = inner.open;
        let there = &mut inner.hosts[host];
        there.open += 1;
        there.resets.retain(|line| line.strong_count() > 0);
        there.resets.push(Arc::downgrade(reset));
        let (here, wake) = (there.open, Arc::clone(&there.wake));
        let excess =
            there.temper.limit.filter(|(limit, _)| *limit < here).map(|(_, excess)| excess);
        let (most, most_here) = inner.bounds;
        if most < all || most_here < here {
            let message =
                format!("{all} connections, {here} at h{host}: more than {:?}", inner.bounds);
            inner.broken.push(message);
        }
        inner.lines += 1;
        (Open { world: self.clone(), host, line: inner.lines }, excess, wake)
    }

    /// Answers the requests of one connection.
    async fn serve(
        &self,
        host: usize,
        line: u64,
        mut stream: DuplexStream,
        excess: Option<Excess>,
    ) {
        while let Some(request) = Request::read(&mut stream).await {
            let _progress = Progress::new(self, host);
            for act in self.react(host, &request, excess) {
                self.lock().events += 1;
                match act {
                    Act::Wait(time) => tokio::time::sleep(time).await,
                    Act::Send(bytes) => {
                        if is_head_of_file(&bytes) {
                            self.lock().transfers.push((line, host, Instant::now(), None));
                        }
                        if stream.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                    Act::Close => return,
                    Act::Hang => std::future::pending().await,
                    Act::Restart(down) => return self.restart(host, down),
                }
            }
            self.lock().end_transfer(line);
        }
    }

    fn react(&self, host: usize, request: &Request, excess: Option<Excess>) -> Vec<Act> {
        let mut inner = self.lock();
        let in_progress = inner.hosts[host].in_progress;
        inner.arrivals.push(Arrival { at: Instant::now(), in_progress });
        let latency = Duration::from_micros(inner.rng.u64(100..30_000));
        let (after, slowing) = inner.hosts[host].temper.slowing;
        let load = if after < inner.arrivals.len() { in_progress } else { 0 };
        let latency = latency + slowing * u32::try_from(load).unwrap_or(u32::MAX);
        let Inner { rng, hosts, .. } = &mut *inner;
        let here = &mut hosts[host];
        let nth = here.requests.entry(request.path.clone()).or_default();
        *nth += 1;
        let nth = *nth;
        let there = &here.temper;
        let met = rng.u32(0..100);
        let broken = there.broken.as_ref().filter(|(files, _)| files.contains(&request.number()));
        let fault = match (excess, broken, there.leads_to) {
            (Some(Excess::Status(status)), ..) => Fault::Status(status),
            (_, Some((_, fault)), _) => *fault,
            (_, _, Some(to)) if request.number().is_multiple_of(2) => Fault::Redirect(to),
            _ if met < there.share && !there.faults.is_empty() => {
                let faults = here.faults.entry(request.path.clone()).or_default();
                if *faults < there.faults_a_file {
                    *faults += 1;
                    there.faults[rng.usize(0..there.faults.len())]
                } else {
                    Fault::None
                }
            }
            _ => Fault::None,
        };
        let quirk = there.quirk.filter(|_| fault == Fault::None);
        if request.is_plain() && matches!(fault, Fault::Status(404 | 410)) {
            inner.gone.insert(request.path.clone());
        }
        let versions = inner.files.entry(request.path.clone()).or_default();
        if versions.is_empty() || fault.changes() {
            versions.push(content(&request.path, versions.len()));
        }
        let bytes = Arc::clone(&versions[versions.len() - 1]);
        let tag = format!("\"{}\"", versions.len());
        let mut acts = vec![Act::Wait(latency)];
        let answer = quirk.and_then(|quirk| quirk.acts(request, &bytes, &tag));
        acts.extend(
            answer.unwrap_or_else(|| fault.acts(request, &bytes, &tag, inner.silence, nth)),
        );
        acts
    }

    /// Resets all connections of a host, and refuses new ones for a time.
    fn restart(&self, host: usize, down: Duration) {
        let mut inner = self.lock();
        let there = &mut inner.hosts[host];
        there.down_until = Some(Instant::now() + down);
        for line in there.resets.drain(..).filter_map(|line| line.upgrade()) {
            line.store(true, Ordering::Relaxed);
        }
        there.wake.notify_waiters();
    }
}

/// Whether a whole head of a success stands at the beginning.
fn is_head_of_file(bytes: &[u8]) -> bool {
    bytes.get(8..10) == Some(b" 2") && bytes.windows(4).any(|end| end == b"\r\n\r\n")
}

/// Random bytes, of a length that is the same in all versions of a path.
fn content(path: &str, version: usize) -> Arc<[u8]> {
    let hash = path
        .bytes()
        .fold(7, |hash: u64, byte| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
    let mut rng = fastrand::Rng::with_seed(hash);
    let most = match rng.u32(0..64) {
        0 => 4_000_000,
        1..9 => 200_000,
        _ => 20_000,
    };
    let size = rng.usize(1..most);
    let mut rng = fastrand::Rng::with_seed(rng.u64(..) ^ version as u64);
    let mut bytes = vec![0; size];
    rng.fill(&mut bytes);
    bytes.into()
}
