//! Downloads a list of files with one HTTP client.
//!
//! `clients CLIENT RUNTIME LIST BASE DEST JOBS`
//!
//! `LIST` is in the form of `sha256sum`. Each file is requested at `BASE/PATH`, compared with its
//! digest and written to `DEST/PATH`, whose directory exists. The list, the workers, the digest and
//! the writing are the same for each client, so runs differ in the client alone.

#![allow(clippy::disallowed_methods, reason = "a program of its own, with arguments and files")]

use std::error::Error;
use std::fmt::Write as _;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;
use tokio::task::{JoinSet, LocalSet};

/// natsync's binary has the same allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The time without a byte after which a request fails. Both clients arm their timers.
const STALL: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);

const USAGE: &str = "usage: clients natsync|reqwest|reqwest-shared one|threads LIST BASE DEST JOBS";

/// Receives the body of one response.
struct Sink {
    hasher: Sha256,
    bytes: Vec<u8>,
}

impl Sink {
    fn take(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.bytes.extend_from_slice(piece);
    }
}

trait Client: 'static {
    fn get(&self, url: &str, sink: &mut Sink) -> impl Future<Output = Result>;
}

#[cfg(feature = "natsync")]
mod own {
    use std::cell::RefCell;

    use natsync::internals::{Connection, Dialer, Target};

    use super::{CONNECT, Client, Result, STALL, Sink};

    /// natsync's connections. The idle ones are kept as in a lane of its engine: the last one in is
    /// the first one out.
    pub struct Own {
        dialer: Dialer,
        idle: RefCell<Vec<Connection>>,
    }

    impl Own {
        pub fn new() -> Self {
            Self { dialer: Dialer::direct(CONNECT, STALL), idle: RefCell::default() }
        }
    }

    impl Client for Own {
        async fn get(&self, url: &str, sink: &mut Sink) -> Result {
            let target = Target::parse(url)?;
            let idle = self.idle.borrow_mut().pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.dialer.dial(&target).await?,
            };
            if self.dialer.get(&mut connection, &target, |piece| sink.take(piece)).await? {
                self.idle.borrow_mut().push(connection);
            }
            Ok(())
        }
    }
}

#[cfg(feature = "reqwest")]
mod other {
    use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
    use reqwest::{StatusCode, redirect, retry};

    use super::{CONNECT, Client, Result, STALL, Sink};

    /// reqwest with the fields and time-outs of natsync, and nothing that natsync does elsewhere.
    #[derive(Clone)]
    pub struct Other(reqwest::Client);

    impl Other {
        pub fn new(jobs: usize) -> Result<Self> {
            let headers = HeaderMap::from_iter([
                (ACCEPT, HeaderValue::from_static("*/*")),
                (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            ]);
            let client = reqwest::Client::builder()
                .http1_only()
                .no_proxy()
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .referer(false)
                .user_agent(concat!("natsync/", env!("CARGO_PKG_VERSION")))
                .default_headers(headers)
                .tcp_nodelay(true)
                .pool_max_idle_per_host(jobs)
                .connect_timeout(CONNECT)
                .read_timeout(STALL)
                .build()?;
            Ok(Self(client))
        }
    }

    impl Client for Other {
        async fn get(&self, url: &str, sink: &mut Sink) -> Result {
            let mut response = self.0.get(url).send().await?;
            if response.status() != StatusCode::OK {
                return Err(format!("{url}: status {}", response.status()).into());
            }
            while let Some(piece) = response.chunk().await? {
                sink.take(&piece);
            }
            Ok(())
        }
    }
}

/// What all workers share.
struct Work {
    /// Digest in hexadecimal digits, and path.
    list: Vec<(String, String)>,
    next: AtomicUsize,
    base: String,
    dest: PathBuf,
    /// Has a place for each event loop.
    done: Barrier,
}

impl Work {
    /// Takes files from the list until none is left.
    async fn drain(&self, client: &impl Client) -> Result {
        let mut sink = Sink { hasher: Sha256::new(), bytes: Vec::new() };
        while let Some((digest, path)) = self.list.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let url = format!("{}/{path}", self.base);
            sink.bytes.clear();
            client.get(&url, &mut sink).await?;
            let mut found = String::with_capacity(64);
            for byte in sink.hasher.finalize_reset() {
                write!(found, "{byte:02x}")?;
            }
            if found != *digest {
                return Err(format!("{url}: {} wrong bytes", sink.bytes.len()).into());
            }
            std::fs::write(self.dest.join(path), &sink.bytes)?;
        }
        Ok(())
    }
}

/// Runs `jobs` workers on one event loop. It ends when the workers of all event loops are done: a
/// connection of a shared pool may be driven by one of them and used by another.
fn serve<C: Client>(runtime: &Runtime, work: &Arc<Work>, client: C, jobs: usize) -> Result {
    let client = Rc::new(client);
    LocalSet::new().block_on(runtime, async {
        let mut workers = JoinSet::new();
        for _ in 0..jobs {
            let (work, client) = (Arc::clone(work), Rc::clone(&client));
            workers.spawn_local(async move { work.drain(&*client).await });
        }
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended? {
                // The other event loops would wait for this one.
                eprintln!("{error:?}");
                std::process::exit(1);
            }
        }
        work.done.wait().await;
        Ok(())
    })
}

/// Runs an event loop on each of `loops` threads; `make` makes its client.
fn run<C: Client>(
    loops: usize,
    work: &Arc<Work>,
    jobs: usize,
    make: impl Fn() -> Result<C> + Sync,
) -> Result {
    let make = &make;
    let serve = move |jobs| {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        serve(&runtime, work, make()?, jobs)
    };
    std::thread::scope(|scope| {
        let share = |number| jobs / loops + usize::from(number < jobs % loops);
        let others: Vec<_> =
            (1..loops).map(|number| scope.spawn(move || serve(share(number)))).collect();
        serve(share(0))?;
        others.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })
}

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [client, runtime, list, base, dest, jobs] = &arguments[..] else {
        return Err(USAGE.into());
    };
    let jobs: usize = jobs.parse()?;
    let loops = match &runtime[..] {
        "one" => 1,
        // As many as natsync's engine has.
        "threads" => std::thread::available_parallelism()?.get(),
        _ => return Err(USAGE.into()),
    };
    let list = std::fs::read_to_string(list)?;
    let list = list.lines().filter_map(|line| line.split_once("  "));
    let work = Arc::new(Work {
        list: list.map(|(digest, path)| (digest.to_owned(), path.to_owned())).collect(),
        next: AtomicUsize::new(0),
        base: base.clone(),
        dest: Path::new(dest).to_owned(),
        done: Barrier::new(loops),
    });
    match &client[..] {
        #[cfg(feature = "natsync")]
        "natsync" => run(loops, &work, jobs, || Ok(own::Own::new())),
        #[cfg(feature = "reqwest")]
        "reqwest" => run(loops, &work, jobs, || other::Other::new(jobs)),
        // One pool for all event loops.
        #[cfg(feature = "reqwest")]
        "reqwest-shared" => {
            let shared = other::Other::new(jobs)?;
            run(loops, &work, jobs, || Ok(shared.clone()))
        }
        _ => Err(USAGE.into()),
    }
}
