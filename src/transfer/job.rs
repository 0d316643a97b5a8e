//! One entry on its way through a run.

use std::time::Duration;

use tokio::time::Instant;

use super::kept::Kept;
use super::slot::LaneId;
use super::want::Want;
use crate::digest::Digest;
use crate::failure::Failure;
use crate::http::{Hop, Method, Target};
use crate::manifest::entry::EntryIndex;

/// A request that brought this many bytes further before it failed is not counted as a failed one:
/// requests go on while they progress, and stay bounded by the length of the file.
pub(super) const PROGRESS: u64 = 1024 * 1024;

/// One entry on its way through a run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) entry: EntryIndex,
    /// The name that is requested: 0 is `url`, then the alternates.
    pub(super) name: usize,
    /// The place where it is requested: 0 is the origin, then the mirrors.
    pub(super) place: usize,
    /// Failed attempts at this place.
    pub(super) tries: u32,
    /// Refusals at this place that were no failed attempts: the origin served others meanwhile.
    pub(super) refused: u32,
    /// The lane of its last request.
    pub(super) lane: Option<LaneId>,
    /// How often it began anew because it had waited too long for a place at a redirect target.
    pub(super) renewed: u32,
    /// Attempts in all.
    pub(super) attempts: u32,
    /// The file on disk changed since the plan was made, so its record is ignored.
    pub(super) outdated: bool,
    /// Some place sent bytes that do not match the pin.
    pub(super) mismatched: bool,
    /// The whole file is requested once more, past all caches, because of a mismatch.
    pub(super) anew: bool,
    /// What the requests of this job leave out, because the server's answer to it was unclear.
    pub(super) without: Without,
    /// The digest of a body that ended with its connection: a second one must be the same.
    pub(super) unframed: Option<Digest>,
    /// Bytes that failed attempts received.
    pub(super) kept: Option<Box<Kept>>,
    /// The most bytes that any attempt reached.
    pub(super) reached: u64,
    /// Use one connection: the server answers range requests wrongly.
    pub(super) whole: bool,
    pub(super) target: Target,
    /// Why it failed at the origin, while the mirrors are tried.
    pub(super) failure: Option<Failure>,
    /// Where the attempt goes on, if it had to wait for a place.
    pub(super) on_the_way: Option<Box<OnTheWay>>,
    /// What the entry must be; looked up by the first attempt.
    pub(super) want: Option<Want>,
}

/// What requests leave out. Each flag is set at most once at a place, so an entry costs at most three
/// further requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Without {
    /// No `If-None-Match` and no `If-Modified-Since`.
    pub(super) conditions: bool,
    /// No `Range`.
    pub(super) range: bool,
    /// No HEAD before the GET.
    pub(super) head: bool,
}

/// An attempt that waits for a place at another origin (a redirect leads there), or for a second
/// request at its own.
#[derive(Debug)]
pub(super) struct OnTheWay {
    /// The next target.
    pub(super) target: Target,
    /// The redirects so far.
    pub(super) hops: Hop,
    /// The method of the next request.
    pub(super) method: Method,
    /// When it began to wait.
    pub(super) since: Instant,
}

/// A redirected transfer that waited longer for a place begins anew: the URLs that redirects lead
/// to often expire after a minute ..
const MOST_WAIT: Duration = Duration::from_secs(30);
/// .. but not more often than this, so that it gets its turn at a slow origin.
const MOST_RENEWED: u32 = 2;

impl Job {
    pub(super) fn new(entry: EntryIndex, target: Target) -> Self {
        Self {
            entry,
            name: 0,
            place: 0,
            tries: 0,
            refused: 0,
            lane: None,
            renewed: 0,
            attempts: 0,
            outdated: false,
            mismatched: false,
            anew: false,
            without: Without::default(),
            unframed: None,
            kept: None,
            reached: 0,
            whole: false,
            target,
            failure: None,
            on_the_way: None,
            want: None,
        }
    }

    /// A job for a further request about the same file at the same place.
    pub(super) fn beside(&self) -> Self {
        Self {
            name: self.name,
            place: self.place,
            outdated: self.outdated,
            anew: self.anew,
            whole: true,
            ..Self::new(self.entry, self.target.clone())
        }
    }

    /// Whether the job was never requested at this place, or not answered there with a failure.
    pub(super) fn is_untried(&self) -> bool {
        self.tries == 0 && self.refused == 0
    }

    /// Drops a redirect that may have expired. Reports whether the job has to begin anew.
    pub(super) fn renew(&mut self, now: Instant) -> bool {
        let has_expired = |way: &mut Box<OnTheWay>| {
            0 < way.hops.count() && MOST_WAIT < now.saturating_duration_since(way.since)
        };
        let anew = self.renewed < MOST_RENEWED && self.on_the_way.take_if(has_expired).is_some();
        self.renewed += u32::from(anew);
        anew
    }

    /// Drops the bytes received so far.
    pub(super) fn forget(&mut self) {
        if let Some(kept) = self.kept.take() {
            kept.begun.staged.discard();
        }
    }

    /// Whether it waited and continues with a request of that method.
    pub(super) fn goes_on_with(&self, method: Method) -> bool {
        self.on_the_way.as_ref().is_some_and(|way| way.method == method)
    }
}
