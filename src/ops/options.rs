//! What a caller asks of a run, beyond what the manifest says.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::http::rewrite::Rewrites;
use crate::manifest::Quota;
use crate::manifest::select::Selection;

/// What a caller asks of a run, beyond what the manifest says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The entries of the run; all by default.
    pub selection: Selection,
    /// Rewrites of the requested URLs.
    pub rewrites: Rewrites,
    /// Concurrent transfers.
    pub jobs: Option<usize>,
    /// Bytes per second, for all transfers together.
    pub limit_rate: Option<u64>,
    /// Attempts after the first one.
    pub retries: Option<u32>,
    /// Make no request.
    pub offline: bool,
    /// Fetch every selected entry again.
    pub force: bool,
    /// Read local files instead of trusting their size and times.
    pub rehash: bool,
    /// The lock must pin every entry.
    pub locked: bool,
    /// Replace the pins of the lock by what upstream serves now. Used by
    /// [`lock`](crate::ops::lock()) alone.
    pub upgrade: bool,
    /// Start no further transfer after the first failure.
    pub fail_fast: bool,
    /// Wait for another run on the same destination instead of giving up.
    pub wait: bool,
    /// Ask upstream about each entry without fetching bodies. Used by [`plan`](crate::ops::plan())
    /// alone.
    pub refresh: bool,
    /// Report kept entries, too.
    pub report_kept: bool,
    /// Whether to delete files that are no longer declared; none leaves that to the manifest.
    pub prune: Option<bool>,
    /// The most files to delete; none leaves that to the manifest.
    pub max_delete: Option<Quota>,
    /// Take over the files of manifests that are probably this one under another name or at another
    /// path.
    pub take_ownership: bool,
    /// Report the action of each entry.
    pub report_actions: bool,
    /// Where the proxy variables (`HTTPS_PROXY`, `NO_PROXY` and the like) are looked up.
    pub environment: Environment,
    /// The number of shards of one job that run at the same time; that of all its shards by default.
    /// Limits hold for the job as a whole, so a shard divides them by this number.
    pub shard_concurrency: Option<u32>,
    /// The instant at which ages are measured; the present one by default.
    pub now: Option<Timestamp>,
}

/// A look-up of environment variables. The default one is empty, so that a library call depends on
/// nothing but its arguments; a program passes `Environment::new(|name| std::env::var(name).ok())`.
#[derive(Clone, Default)]
pub struct Environment(Option<Arc<Lookup>>);

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Environment {
    /// An environment that `lookup` answers for.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(lookup)))
    }

    pub(crate) fn lookup(&self) -> &Lookup {
        self.0.as_deref().unwrap_or(&|_| None)
    }
}

/// Values are not shown: they may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Environment(..)" } else { "Environment(empty)" })
    }
}
