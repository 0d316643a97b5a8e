//! The addresses of names: asked for once however many connections want them, and remembered for a
//! while, also that there are none.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::origin::Origin;
use super::proxies::Via;
use crate::failure::{ErrorKind, Failure};

/// How long an answer is remembered: a run's burst of connections asks once, a long run follows
/// changes.
const REMEMBERED: Duration = Duration::from_secs(30);
/// A name that does not exist is asked for once more, after this: some servers say so by mistake when
/// they are in need.
const CONFIRM: Duration = Duration::from_millis(200);

/// The addresses of names. Each name is asked for on its own: a slow one holds up no other.
pub(crate) struct Names {
    known: Mutex<HashMap<String, Arc<Cell>>>,
    lookup: Lookup,
}

/// Who asks for a name waits for whom is asking already.
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
    /// It does not exist.
    Nameless,
    /// It exists, and has no address.
    Addressless,
    /// Nobody could say.
    Passing,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Default for Names {
    fn default() -> Self {
        // The system's own resolver, on a thread for each name.
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
            let mut names = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(names.entry(host.to_owned()).or_default())
        };
        let began = Instant::now();
        let mut known = cell.lock().await;
        if let Some(known) = &*known {
            // What may pass is told to those alone who waited for it.
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
    /// The standard library gives the resolver's word only as text: that of glibc, musl, macOS and
    /// Windows. What is not known may pass.
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

    /// Answers each name with a text: an address, or an error. Names that begin with `slow` take a minute.
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
    async fn a_name_is_asked_for_once() {
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
        assert_eq!(count.load(Ordering::Relaxed), 2, "an address is no name");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_does_not_exist_is_confirmed_and_remembered() {
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
    async fn what_may_pass_is_asked_for_again() {
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
    async fn a_slow_name_holds_up_no_other() {
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
    fn what_systems_say() {
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
