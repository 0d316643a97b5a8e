//! A scriptable HTTP/1.1 server on loopback with a request log.
//!
//! It uses raw sockets, because HTTP frameworks prevent the faults that the tests need. Each
//! connection has a thread; all threads end when the `Origin` is dropped.

mod answer;
mod connection;
mod file;
mod gate;
mod log;
mod second;
mod secured;
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

pub(crate) use answer::Answer;
pub(crate) use file::{File, first_modified};
pub(crate) use gate::Gate;
pub(crate) use log::Request;
pub(crate) use second::{Asked, Say, Second};
pub(crate) use secured::Secured;

/// How long a test waits for an event before it fails. The event comes within milliseconds on an
/// idle machine; a busy machine may need a hundred times longer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A server on a port of its own.
pub(crate) struct Origin {
    shared: Arc<Shared>,
    port: u16,
    acceptor: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    versions: HashMap<String, u32>,
    /// By path, or by method and path (`HEAD /a`), which takes precedence.
    scripts: HashMap<String, Script>,
    fallback: Option<Answer>,
    chooser: Option<Chooser>,
    requests: Vec<Request>,
    /// The number of forgotten requests; positions in the log count them too.
    forgotten: usize,
    streams: HashMap<usize, TcpStream>,
    most_connections: usize,
    in_flight: Gauge,
    /// How many connections (or requests at a time) are served, and what becomes of others.
    bound: Option<(usize, Excess)>,
}

/// What becomes of connections beyond the number that an origin serves.
#[derive(Clone, Debug)]
pub(crate) enum Excess {
    /// A reset once a request came.
    Reset,
    /// The end at once.
    Close,
    /// Each request beyond that number of requests at a time gets this answer.
    Answer(Box<Answer>),
}

/// Returns the answer to a request, or `None` for the usual answer.
type Chooser = Box<dyn FnMut(&Request) -> Option<Answer> + Send>;

#[derive(Default)]
struct Script {
    attempts: VecDeque<Answer>,
    then: Option<Answer>,
}

/// A counter with its maximum.
#[derive(Clone, Copy, Default)]
struct Gauge {
    now: usize,
    most: usize,
}

impl Gauge {
    fn up(&mut self) {
        self.now += 1;
        self.most = self.most.max(self.now);
    }

    fn down(&mut self) {
        self.now -= 1;
    }
}

impl Origin {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        let port = listener.local_addr().expect("the address of a listener").port();
        let shared = Arc::<Shared>::default();
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&shared, &listener)
        });
        Self { shared, port, acceptor: Some(acceptor) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.base() + path
    }

    // Content and scripts.

    /// Serves content at a path. A second call for the path is a change upstream, with new
    /// validators.
    pub(crate) fn serve(&self, path: &str, file: impl Into<File>) {
        let mut state = self.shared.state();
        let version = state.versions.entry(path.to_owned()).or_insert(0);
        *version += 1;
        let file = file.into().published(*version);
        state.files.insert(path.to_owned(), file);
    }

    /// Answers 404 at a path from now on.
    pub(crate) fn remove(&self, path: &str) {
        self.shared.state().files.remove(path);
    }

    /// Gives these answers to the next requests for a path, then the usual ones. A path may be
    /// given as `HEAD /a` to script only that method.
    pub(crate) fn attempts(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.shared.state().scripts.entry(path.to_owned()).or_default().attempts.extend(answers);
    }

    /// Gives this answer to every request for a path, after the answers from `attempts`.
    pub(crate) fn always(&self, path: &str, answer: Answer) {
        self.shared.state().scripts.entry(path.to_owned()).or_default().then = Some(answer);
    }

    /// Gives this answer to all requests without a script.
    pub(crate) fn everywhere(&self, answer: Answer) {
        self.shared.state().fallback = Some(answer);
    }

    /// Calls this function first for every request.
    pub(crate) fn decide(&self, chooser: impl FnMut(&Request) -> Option<Answer> + Send + 'static) {
        self.shared.state().chooser = Some(Box::new(chooser));
    }

    /// Serves at most this many connections at a time.
    pub(crate) fn serve_at_most(&self, connections: usize, excess: Excess) {
        self.shared.state().bound = Some((connections, excess));
    }

    /// Removes all scripts.
    pub(crate) fn behave(&self) {
        let mut state = self.shared.state();
        state.scripts.clear();
        state.fallback = None;
        state.chooser = None;
    }

    // The log.

    /// The requests since the beginning, or since [`Origin::forget`].
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// The requests for a path, by any method.
    pub(crate) fn requests_for(&self, path: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.path() == path);
        requests
    }

    /// How many requests there were for a path, by any method.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.requests_for(path).len()
    }

    /// The number of body bytes of all answers, as sent on the wire.
    pub(crate) fn bytes_sent(&self) -> usize {
        self.requests().iter().map(|request| request.sent).sum()
    }

    /// The number of connections of these requests.
    pub(crate) fn connections_used(&self) -> usize {
        self.requests().iter().map(|request| request.connection).collect::<BTreeSet<_>>().len()
    }

    /// The maximum number of open connections.
    pub(crate) fn most_connections(&self) -> usize {
        self.shared.state().most_connections
    }

    /// The maximum number of requests without a complete answer.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.shared.state().in_flight.most
    }

    /// Resets the log and the maxima.
    pub(crate) fn forget(&self) {
        let mut state = self.shared.state();
        state.forgotten += state.requests.len();
        state.requests.clear();
        state.most_connections = state.connections();
        state.in_flight.most = state.in_flight.now;
    }

    /// Fails unless there were exactly these requests, in any order: `["GET /a", "HEAD /b"]`.
    #[track_caller]
    pub(crate) fn assert_requests(&self, expected: &[&str]) {
        let mut seen: Vec<_> = self.requests().iter().map(ToString::to_string).collect();
        seen.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(seen, expected, "requests that the origin saw");
    }

    /// Waits until there were this many requests.
    #[track_caller]
    pub(crate) fn wait_for(&self, requests: usize) {
        self.wait(&format!("{requests} requests"), |state| requests <= state.requests.len());
    }

    /// Waits until this many requests are in flight.
    #[track_caller]
    pub(crate) fn wait_in_flight(&self, requests: usize) {
        self.wait(&format!("{requests} requests in flight"), |state| {
            requests <= state.in_flight.now
        });
    }

    /// Waits until no connection is open.
    #[track_caller]
    pub(crate) fn wait_until_alone(&self) {
        self.wait("the end of all connections", |state| state.streams.is_empty());
    }

    #[track_caller]
    fn wait(&self, what: &str, reached: impl Fn(&State) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while !reached(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seen: Vec<_> = state.requests.iter().map(ToString::to_string).collect();
                let in_flight = state.in_flight.now;
                drop(state);
                panic!("waited in vain for {what}; {in_flight} are in flight, seen were {seen:#?}");
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        for stream in self.shared.state().streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the acceptor thread, so that it notices the stop.
        let woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        if let (true, Some(acceptor)) = (woken, self.acceptor.take()) {
            let _ = acceptor.join();
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for (number, stream) in listener.incoming().enumerate() {
        if shared.is_stopping() {
            return;
        }
        let Ok(stream) = stream else { continue };
        if shared.opened(number, &stream) {
            let excess = shared.excess_connection();
            let shared = Arc::clone(shared);
            thread::spawn(move || match excess {
                None => connection::serve(&shared, stream, number),
                Some(excess) => connection::refuse(&shared, &stream, number, &excess),
            });
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Sleeps, but returns early if the origin is dropped.
    fn pause(&self, pause: Duration) {
        let end = Instant::now() + pause;
        let mut state = self.state();
        while !self.is_stopping() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn opened(&self, number: usize, stream: &TcpStream) -> bool {
        let Ok(clone) = stream.try_clone() else {
            return false;
        };
        let mut state = self.state();
        state.streams.insert(number, clone);
        state.most_connections = state.most_connections.max(state.connections());
        self.changed.notify_all();
        true
    }

    /// What becomes of a new connection, if it is one too many.
    fn excess_connection(&self) -> Option<Excess> {
        let state = self.state();
        let (most, excess) = state.bound.as_ref()?;
        let refused = *most < state.connections() && !matches!(excess, Excess::Answer(_));
        refused.then(|| excess.clone())
    }

    /// The connection ended, or this origin is about to close it.
    fn closed(&self, number: usize) {
        self.state().streams.remove(&number);
        self.changed.notify_all();
    }

    /// Logs a request and returns its answer.
    fn arrived(&self, request: &Request) -> (usize, Answer, Option<File>) {
        let mut state = self.state();
        let position = state.forgotten + state.requests.len();
        state.requests.push(request.clone());
        state.in_flight.up();
        let answer = state.next_answer(request);
        let file =
            state.files.get(&request.target).or_else(|| state.files.get(request.path())).cloned();
        self.changed.notify_all();
        (position, answer, file)
    }

    fn answered(&self, position: usize, status: u16, sent: usize) {
        let mut state = self.state();
        let position = position.checked_sub(state.forgotten);
        if let Some(request) = position.and_then(|position| state.requests.get_mut(position)) {
            request.status = status;
            request.sent = sent;
        }
    }

    fn departed(&self) {
        self.state().in_flight.down();
        self.changed.notify_all();
    }
}

impl State {
    /// The number of connections that the client has not closed, not even for writing. The thread of
    /// a connection may see its end only after the acceptor has seen the next connection, so the
    /// sockets are polled.
    fn connections(&self) -> usize {
        let streams: Vec<_> = self.streams.values().collect();
        let mut polled: Vec<_> =
            streams.iter().map(|stream| PollFd::new(*stream, PollFlags::RDHUP)).collect();
        let now = rustix::event::Timespec::default();
        rustix::event::poll(&mut polled, Some(&now)).expect("sockets can be polled");
        let ended = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        polled.iter().filter(|socket| !socket.revents().intersects(ended)).count()
    }

    fn next_answer(&mut self, request: &Request) -> Answer {
        if let Some((most, Excess::Answer(answer))) = &self.bound
            && *most < self.in_flight.now
        {
            return (**answer).clone();
        }
        if let Some(chooser) = &mut self.chooser
            && let Some(answer) = chooser(request)
        {
            return answer;
        }
        for key in [
            &request.to_string(),
            &format!("{} {}", request.method, request.path()),
            &request.target,
            request.path(),
        ] {
            if let Some(script) = self.scripts.get_mut(key) {
                if let Some(answer) = script.attempts.pop_front() {
                    return answer;
                }
                if let Some(answer) = &script.then {
                    return answer.clone();
                }
            }
        }
        self.fallback.clone().unwrap_or_else(Answer::file)
    }
}

/// A port on loopback that refuses connections for as long as this value lives.
pub(crate) struct DeadPort {
    port: u16,
    /// The two ends of a connection whose listener is closed; they prevent the port from being
    /// reused.
    _ends: [TcpStream; 2],
}

impl DeadPort {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        let address = listener.local_addr().expect("the address of a listener");
        let near = TcpStream::connect(address).expect("a connection to our own listener");
        let (far, _) = listener.accept().expect("that connection's other end");
        Self { port: address.port(), _ends: [near, far] }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
