//! The addresses of names. Concurrent lookups of one name share a single resolver call, and its
//! result, also a negative one, is cached for a while.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::origin::Origin;
use super::proxies::Via;
use crate::failure::{ErrorKind, Failure};
use crate::threads::lock;

/// The TTL of the cache: one lookup serves a burst of connections, and a long run follows changes.
const REMEMBERED: Duration = Duration::from_secs(30);
/// A name that does not exist is looked up once more after this time: some overloaded name servers
/// say so by mistake.
const CONFIRM: Duration = Duration::from_millis(200);

/// The addresses of names. A slow lookup does not delay those of other names.
pub(crate) struct Names {
    known: Mutex<HashMap<String, Arc<Cell>>>,
    lookup: Lookup,
}

/// Held during a lookup, so that concurrent ones of the same name wait for its result.
type Cell = tokio::sync::Mutex<Option<Known>>;
type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
type Lookup = Box<dyn Fn(String) -> Found + Send + Sync>;

#[derive(Clone)]
struct Known {
    answer: Result<Vec<IpAddr>, Trouble>,
    since: Instant,
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The name does not exist.
    Nameless,
    /// The name exists but has no address.
    Addressless,
    /// The name server failed: another lookup may succeed.
    Passing,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Default for Names {
    fn default() -> Self {
        // The system's resolver blocks, so each lookup has a thread.
        Self::new(Box::new(|host| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((host, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        }))
    }
}

impl Names {
    fn new(lookup: Lookup) -> Self {
        Self { known: Mutex::default(), lookup }
    }

    /// The addresses of an origin, or of the proxy to one.
    ///
    /// # Errors
    /// `dns`; lasting where the name does not exist.
    pub(super) async fn resolve(
        &self,
        origin: &Origin,
        via: Option<&Via>,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let with_port = |address| SocketAddr::new(address, origin.port);
        let host = origin.bare_host();
        if let Ok(address) = host.parse() {
            return Ok(vec![with_port(address)]);
        }
        let answer = self.ask(host).await;
        answer
            .map(|addresses| addresses.into_iter().map(with_port).collect())
            .map_err(|trouble| trouble.explain(origin, via))
    }

    async fn ask(&self, host: &str) -> Result<Vec<IpAddr>, Trouble> {
        let cell = {
            let mut names = lock(&self.known);
            Arc::clone(names.entry(host.to_owned()).or_default())
        };
        let began = Instant::now();
        let mut known = cell.lock().await;
        if let Some(known) = &*known {
            // A transient failure is the result of the lookups that waited for it, not of later
            // ones.
            let fresh = match known.answer {
                Err(Trouble::Passing) => began < known.since,
                _ => known.since.elapsed() < REMEMBERED,
            };
            if fresh {
                return known.answer.clone();
            }
        }
        let mut answer = self.look(host).await;
        if matches!(answer, Err(Trouble::Nameless | Trouble::Addressless)) {
            tokio::time::sleep(CONFIRM).await;
            answer = self.look(host).await;
        }
        *known = Some(Known { answer: answer.clone(), since: Instant::now() });
        answer
    }

    async fn look(&self, host: &str) -> Result<Vec<IpAddr>, Trouble> {
        match (self.lookup)(host.to_owned()).await {
            Ok(addresses) if addresses.is_empty() => Err(Trouble::Addressless),
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(Trouble::of(&error)),
        }
    }
}

impl Trouble {
    /// The standard library passes the error of the resolver only as text: that of glibc, musl,
    /// macOS or Windows. An unknown text counts as transient.
    fn of(error: &io::Error) -> Self {
        let text = error.to_string();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if says(&["not known", "does not resolve", "No such host"]) {
            Self::Nameless
        } else if says(&["No address associated", "has no usable address", "no data"]) {
            Self::Addressless
        } else {
            Self::Passing
        }
    }

    fn explain(self, origin: &Origin, via: Option<&Via>) -> Failure {
        let proxy = if via.is_some() { "the proxy's name " } else { "" };
        let what = match self {
            Self::Nameless => "there is no such name",
            Self::Addressless => "the name has no address",
            Self::Passing => "the name server does not answer",
        };
        let message = format!("cannot resolve {proxy}`{}`: {what}", origin.shown_host());
        let failure = Failure::new(ErrorKind::Dns, message);
        if self == Self::Passing { failure } else { failure.lasting() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::super::origin::Target;
    use super::*;

    const PASSING: &str =
        "failed to lookup address information: Temporary failure in name resolution";
    const NAMELESS: &str = "failed to lookup address information: Name or service not known";

    /// A resolver whose result for each name is `answer`, an address or an error. Names that begin
    /// with `slow` take a minute.
    fn names(answer: &'static str) -> (Names, Arc<AtomicUsize>) {
        let count = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&count);
        let names = Names::new(Box::new(move |host| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                let takes = if host.starts_with("slow") { 60_000 } else { 10 };
                tokio::time::sleep(Duration::from_millis(takes)).await;
                answer.parse().map(|address| vec![address]).map_err(|_| io::Error::other(answer))
            })
        }));
        (names, count)
    }

    fn origin(host: &str) -> Origin {
        Target::parse(&format!("http://{host}/")).unwrap().origin
    }

    async fn thousand(names: &Names) -> Vec<Result<Vec<SocketAddr>, Failure>> {
        let ports: Vec<_> = (1..=1000).map(|port| origin(&format!("h:{port}"))).collect();
        join_all(ports.iter().map(|origin| names.resolve(origin, None))).await
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_lookups_share_one_call() {
        let (names, count) = names("10.0.0.1");
        for (found, port) in thousand(&names).await.into_iter().zip(1..) {
            assert_eq!(found.unwrap(), [SocketAddr::from(([10, 0, 0, 1], port))]);
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        tokio::time::advance(REMEMBERED).await;
        names.resolve(&origin("h"), None).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 2);
        names.resolve(&origin("127.0.0.1"), None).await.unwrap();
        names.resolve(&origin("[::1]"), None).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 2, "an address needs no lookup");
    }

    #[tokio::test(start_paused = true)]
    async fn a_negative_result_is_confirmed_and_cached() {
        let (names, count) = names(NAMELESS);
        for _ in 0..2 {
            for found in thousand(&names).await {
                let failure = found.unwrap_err();
                assert_eq!((failure.kind, failure.lasting), (ErrorKind::Dns, true));
                assert!(failure.message.contains("no such name"), "{failure}");
            }
            assert_eq!(count.load(Ordering::Relaxed), 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_failure_is_not_cached() {
        let (names, count) = names(PASSING);
        for round in 1..=2 {
            for found in thousand(&names).await {
                let failure = found.unwrap_err();
                assert_eq!((failure.kind, failure.lasting), (ErrorKind::Dns, false));
                assert!(failure.message.contains("does not answer"), "{failure}");
            }
            assert_eq!(count.load(Ordering::Relaxed), round);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_lookup_delays_no_other() {
        let (names, _) = names("10.0.0.1");
        let slow: Vec<_> = (0..50).map(|n| origin(&format!("slow{n}"))).collect();
        let mut slow = std::pin::pin!(join_all(slow.iter().map(|name| names.resolve(name, None))));
        let fast = origin("fast");
        let mut fast = std::pin::pin!(names.resolve(&fast, None));
        tokio::select! {
            _ = &mut slow => panic!("the slow ones came first"),
            found = &mut fast => assert!(found.is_ok()),
        }
    }

    #[test]
    fn the_texts_of_system_resolvers_are_known() {
        for (text, trouble) in [
            (NAMELESS, Trouble::Nameless),
            (PASSING, Trouble::Passing),
            ("failed to lookup address information: Name does not resolve", Trouble::Nameless),
            ("failed to lookup address information: Try again", Trouble::Passing),
            ("nodename nor servname provided, or not known", Trouble::Nameless),
            ("No such host is known. (os error 11001)", Trouble::Nameless),
            ("No address associated with hostname", Trouble::Addressless),
            ("Non-recoverable failure in name resolution", Trouble::Passing),
            ("Device or resource busy (os error 16)", Trouble::Passing),
        ] {
            assert_eq!(Trouble::of(&io::Error::other(text)), trouble, "{text}");
        }
    }
}
