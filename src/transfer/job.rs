//! One entry on its way through a run.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::kept::{Kept, longest};
use super::slot::LaneId;
use super::want::Want;
use crate::digest::Digest;
use crate::failure::Failure;
use crate::http::{Hop, Target};
use crate::manifest::entry::EntryIndex;
use crate::pin::Validators;

/// A request that brought this many bytes further before it failed is not counted as a failed one:
/// requests go on while they progress, and stay bounded by the length of the file. Nor does it speak
/// against the origin.
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
    /// Requests in all, without redirects, and with those for segments.
    pub(super) attempts: Cell<u32>,
    /// The file on disk changed since the plan was made, so its record is ignored.
    pub(super) outdated: bool,
    /// Some place sent bytes that do not match the pin.
    pub(super) mismatched: bool,
    /// The whole file is requested once more, past all caches, because of a mismatch.
    pub(super) anew: bool,
    /// Bytes that failed attempts received at this place.
    pub(super) kept: Option<Box<Kept>>,
    /// Such bytes, while the whole file is on its way instead of their rest.
    pub(super) aside: Option<Box<Kept>>,
    /// Bytes of another place, for a later run: this place may serve another version.
    pub(super) elsewhere: Option<Box<Kept>>,
    /// The most bytes that any attempt reached.
    pub(super) reached: u64,
    /// The last attempt brought as many further bytes as [`PROGRESS`] before it failed.
    pub(super) progressed: bool,
    /// Use one connection: the server answers range requests wrongly.
    pub(super) whole: bool,
    /// What this place answered so far.
    pub(super) learned: Learned,
    /// The kind of the current request, until it has an answer that proves something.
    pub(super) open: Option<Kind>,
    /// Its current request probes an origin, or the last one did and proved nothing.
    pub(super) is_probe: bool,
    /// A mirror has a copy that is older than the local file: its message.
    pub(super) older: Option<String>,
    pub(super) target: Target,
    /// Why it failed at the origin, while the mirrors are tried.
    pub(super) failure: Option<Failure>,
    /// Where the attempt goes on, if it had to wait for a place.
    pub(super) on_the_way: Option<Box<OnTheWay>>,
    /// What the entry must be; looked up by the first attempt.
    pub(super) want: Option<Want>,
}

/// What a request can prove (docs/transfer.md, "Questions and answers").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A GET without conditions and range: its answer decides.
    Plain,
    /// A GET with conditions or a range.
    Special,
    Head,
}

/// What one place answered so far, which decides the next request there.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// HEAD was answered or refused: make a GET.
    pub(super) gets: bool,
    /// A condition or a range was refused: make plain GETs.
    pub(super) plain: bool,
    /// The digest and the length of a body that nothing proved to be whole.
    pub(super) unframed: Option<(Digest, u64)>,
}

/// What follows from a whole body whose end nothing proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    /// It came twice.
    Same,
    /// It came for the first time.
    First,
    /// Other bytes came before, of that length.
    Other(u64),
}

impl Learned {
    /// Compares an unframed body with the one before it.
    pub(super) fn repeated(&mut self, digest: Digest, length: u64) -> Repeated {
        match self.unframed.replace((digest, length)) {
            None => Repeated::First,
            Some((before, _)) if before == digest => Repeated::Same,
            Some((_, before)) => Repeated::Other(before),
        }
    }
}

/// An attempt that waits for a place at another origin, where a redirect leads.
#[derive(Debug)]
pub(super) struct OnTheWay {
    /// The next target.
    pub(super) target: Target,
    /// The redirects so far.
    pub(super) hops: Hop,
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
            attempts: Cell::new(0),
            outdated: false,
            mismatched: false,
            anew: false,
            kept: None,
            aside: None,
            elsewhere: None,
            reached: 0,
            progressed: false,
            whole: false,
            learned: Learned::default(),
            open: None,
            is_probe: false,
            older: None,
            target,
            failure: None,
            on_the_way: None,
            want: None,
        }
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    pub(super) fn count_attempt(&self) {
        self.attempts.update(|attempts| attempts + 1);
    }

    /// A job for a further request about the same file at the same place, whose requests the caller
    /// counts.
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
        let all = [self.kept.take(), self.aside.take(), self.elsewhere.take()];
        all.into_iter().flatten().for_each(|kept| kept.discard());
    }

    /// The whole file is on its way, with these validators. The bytes received so far are kept until
    /// all of it came, if they are of the same version.
    pub(super) fn begin_anew(&mut self, sent: &Validators, pinned: bool) {
        self.aside = longest(self.kept.take(), self.aside.take());
        if let Some(other) = self.aside.take_if(|kept| !kept.is_of(sent, pinned)) {
            other.discard();
        }
    }

    /// Keeps the bytes of a failed attempt, or those that are here already, if these are more.
    pub(super) fn keep(&mut self, kept: Option<Box<Kept>>) {
        self.kept = longest(kept, self.aside.take());
    }

    /// Goes to another place, or to the same one once more.
    pub(super) fn go_to(&mut self, target: Target, name: usize, place: usize) {
        let left = longest(self.kept.take(), self.aside.take());
        self.elsewhere = longest(left, self.elsewhere.take());
        self.target = target;
        self.name = name;
        self.place = place;
        self.tries = 0;
        self.refused = 0;
        self.learned = Learned::default();
    }

    /// Makes the next request a plainer one than that of this kind: a GET after a HEAD, else a plain
    /// GET. Reports whether there is a plainer one, which has refusals of its own.
    pub(super) fn ask_more_plainly(&mut self, kind: Option<Kind>) -> bool {
        let is_plainer = match kind {
            Some(Kind::Head) => !std::mem::replace(&mut self.learned.gets, true),
            Some(Kind::Special) => !std::mem::replace(&mut self.learned.plain, true),
            Some(Kind::Plain) | None => false,
        };
        if is_plainer {
            self.refused = 0;
        }
        is_plainer
    }
}
