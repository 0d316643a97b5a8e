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
    /// Which entries; all by default.
    pub selection: Selection,
    /// Where to ask instead of where the manifest says.
    pub rewrites: Rewrites,
    /// Transfers at a time.
    pub jobs: Option<usize>,
    /// Bytes a second in all.
    pub limit_rate: Option<u64>,
    /// Further attempts after a failed one.
    pub retries: Option<u32>,
    /// Do without the network.
    pub offline: bool,
    /// Get everything anew.
    pub force: bool,
    /// Believe no size and time of a local file.
    pub rehash: bool,
    /// The lock must pin every entry.
    pub locked: bool,
    /// Follow upstream, whatever the lock pins. For [`lock`](crate::ops::lock()) alone.
    pub upgrade: bool,
    /// End with the first failure.
    pub fail_fast: bool,
    /// Wait for another run on the same destination instead of giving up.
    pub wait: bool,
    /// Ask upstream what it has, without getting it. For [`plan`](crate::ops::plan()) alone.
    pub refresh: bool,
    /// Tell of entries that are merely kept, too.
    pub report_kept: bool,
    /// Whether files that are no longer declared are deleted, whatever the manifest says.
    pub prune: Option<bool>,
    /// How many files may be deleted, whatever the manifest says.
    pub max_delete: Option<Quota>,
    /// Tell the action of each entry.
    pub report_actions: bool,
    /// Where the proxy variables (`HTTPS_PROXY`, `NO_PROXY` and the like) are looked up.
    pub environment: Environment,
    /// The instant that ages are counted to; the moment itself by default.
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
