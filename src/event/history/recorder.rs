//! The reporter that records a run for the history.
//!
//! Its memory is bounded, and an event costs a few nanoseconds. It collects events in batches and
//! reads the clock once a batch. The order of the events is exact; their times are interpolated
//! evenly over the time in which the batch was collected.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use jiff::Timestamp;

use super::{Counts, Exit, Failed, Flow, Past, Timeline, Transfer};
use crate::event::history::sample::Spread;
use crate::event::{Event, Outcome, Phase, Reporter, Summary};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Manifest;
use crate::manifest::entry::{Entries, EntryIndex};

/// The maximum number of recorded failures.
const FAILURES: usize = 1000;
/// The number of longest transfers to keep.
const LONGEST: usize = 250;
/// The number of transfers to sample evenly from all.
const SAMPLED: usize = 750;
/// The maximum number of active transfers whose start is tracked. There are more only while most of
/// them wait for a retry.
const ACTIVE: usize = 16 * 1024;
/// The maximum number of events in a batch.
const BATCH: usize = 16 * 1024;

/// Records a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Milliseconds since 1970.
    began: i64,
    clock: Instant,
    /// The last reading of the clock, in milliseconds since the start of the run.
    now: u32,
    /// The events since that reading.
    batch: Vec<Step>,
    /// True while checksum lists are fetched; their transfers have no outcome.
    is_listing: bool,
    /// The start time of each active transfer, by entry.
    active: HashMap<u64, u32, BuildHasherDefault<Spreading>>,
    sampled: Spread<Moved>,
    longest: BinaryHeap<Reverse<(u32, u64, Moved)>>,
    flow: Flow,
    failures: Vec<(About, Failure)>,
    failed: u64,
}

/// An event of a transfer.
#[derive(Clone, Copy, Debug)]
enum Step {
    Started(EntryIndex),
    Received(u64),
    Finished {
        entry: EntryIndex,
        bytes: u64,
        outcome: &'static str,
        /// True if a request was made; otherwise it is not a transfer.
        was_asked: bool,
    },
}

/// A finished transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moved {
    start: u32,
    end: u32,
    entry: u64,
    bytes: u64,
    outcome: &'static str,
}

/// The subject of a failure.
#[derive(Clone, Debug)]
enum About {
    Entry(EntryIndex),
    Source(usize),
    /// A file that could not be deleted, or `None` for all files.
    Prune(Option<String>),
}

/// The settings and the end of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) manifest: &'a Manifest,
    /// `apply` or `lock`.
    pub(crate) command: &'static str,
    /// The patterns of `--only`.
    pub(crate) only: &'a [String],
    /// True if the run was interrupted.
    pub(crate) stopped: bool,
    /// True if an error ended the run.
    pub(crate) broken: bool,
}

impl Recorder {
    /// `clock` is the start of the run.
    pub(crate) fn new(clock: Instant) -> Self {
        let since = i64::try_from(clock.elapsed().as_millis()).unwrap_or(0);
        let began = Timestamp::now().as_millisecond().saturating_sub(since);
        Self {
            began,
            clock,
            now: 0,
            batch: Vec::new(),
            is_listing: false,
            active: HashMap::default(),
            sampled: Spread::new(SAMPLED),
            longest: BinaryHeap::new(),
            flow: Flow::default(),
            failures: Vec::new(),
            failed: 0,
        }
    }

    /// Returns the record of the finished run.
    pub(crate) fn finish(mut self, setting: Setting<'_>, summary: &Summary) -> Past {
        self.settle();
        let Setting { manifest, command, only, stopped, broken } = setting;
        let exit = match (stopped, broken || 0 < self.failed || !summary.is_success()) {
            (true, _) => Exit::Stopped,
            (false, true) => Exit::Failed,
            (false, false) => Exit::Ok,
        };
        let entries = manifest.entries();
        let source = |number: usize| manifest.sources()[number].name.clone();
        let failures = self.failures.into_iter().map(|(about, failure)| {
            let (path, source) = match about {
                About::Entry(entry) => (path(&entries, entry), source(entries.source_of(entry))),
                About::Source(number) => (None, source(number)),
                About::Prune(path) => (path, String::new()),
            };
            Failed {
                path,
                source,
                kind: failure.kind.as_str().to_owned(),
                status: failure.status,
                message: failure.message,
                hint: failure.hint,
                origin: failure.origin,
            }
        });
        let total = self.sampled.seen();
        let longest = self.longest.into_iter().map(|Reverse((.., moved))| moved);
        let mut moved: Vec<_> = self.sampled.into_kept().into_iter().chain(longest).collect();
        moved.sort_unstable();
        moved.dedup();
        let transfers = moved.into_iter().filter_map(|moved| {
            let Moved { start, end, entry, bytes, outcome } = moved;
            let path = path(&entries, EntryIndex(entry))?;
            Some(Transfer { path, start, end, bytes, outcome: outcome.to_owned() })
        });
        let timeline = Timeline { total, transfers: transfers.collect(), flow: self.flow };
        Past {
            began: self.began,
            elapsed: u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
            command: command.to_owned(),
            only: only.to_vec(),
            bound: entries.bound(),
            exit,
            counts: Counts::from(summary),
            failed: self.failed,
            failures: failures.collect(),
            timeline: (0 < total).then_some(timeline),
            shards: Vec::new(),
        }
    }

    fn fail(&mut self, about: About, failure: &Failure) {
        self.failed += 1;
        if self.failures.len() < FAILURES {
            self.failures.push((about, failure.clone()));
        }
    }

    /// Reads the clock and assigns times to the events of the batch.
    fn settle(&mut self) {
        let now = u32::try_from(self.clock.elapsed().as_millis()).unwrap_or(u32::MAX);
        self.settle_until(now);
    }

    fn settle_until(&mut self, now: u32) {
        let before = std::mem::replace(&mut self.now, now);
        let mut batch = std::mem::take(&mut self.batch);
        let (span, count) = (u64::from(now.saturating_sub(before)), batch.len().max(1) as u64);
        for (step, place) in batch.drain(..).zip(1..) {
            let after = u32::try_from(span * place / count).unwrap_or(u32::MAX);
            self.step(step, before.saturating_add(after));
        }
        self.batch = batch;
    }

    fn step(&mut self, step: Step, at: u32) {
        match step {
            Step::Started(entry) if self.active.len() < ACTIVE => {
                self.active.entry(entry.0).or_insert(at);
            }
            Step::Started(_) => {}
            Step::Received(bytes) => self.flow.add(at, bytes, 0),
            Step::Finished { entry, bytes, outcome, was_asked } => {
                let start = self.active.remove(&entry.0).or_else(|| was_asked.then_some(at));
                if let Some(start) = start {
                    self.moved(Moved { start, end: at, entry: entry.0, bytes, outcome });
                }
            }
        }
    }

    fn moved(&mut self, moved: Moved) {
        self.flow.add(moved.end, 0, 1);
        self.sampled.push(|| moved);
        let (took, bytes) = (moved.end.saturating_sub(moved.start), moved.bytes);
        if self.longest.len() < LONGEST {
            self.longest.push(Reverse((took, bytes, moved)));
        } else if self.longest.peek().is_some_and(|Reverse((least, ..))| *least < took) {
            self.longest.pop();
            self.longest.push(Reverse((took, bytes, moved)));
        }
    }
}

impl Reporter for Recorder {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { entry } if !self.is_listing => self.batch.push(Step::Started(*entry)),
            Event::Received { bytes, .. } => self.batch.push(Step::Received(*bytes)),
            Event::Finished { outcome: Outcome::Kept, .. } => {}
            Event::Finished { entry, outcome, attempts, received } => {
                // An entry that the end of the run interrupted has not failed.
                if let Outcome::Failed(failure) = outcome
                    && failure.kind != ErrorKind::Interrupted
                {
                    self.fail(About::Entry(*entry), failure);
                }
                let (bytes, was_asked) = (*received, 0 < *attempts);
                let outcome = outcome.as_str();
                self.batch.push(Step::Finished { entry: *entry, bytes, outcome, was_asked });
            }
            Event::SourceFailed { source, failure } => self.fail(About::Source(*source), failure),
            Event::Unpruned { path, failure } => self.fail(About::Prune(path.clone()), failure),
            Event::Phase { phase, .. } => {
                self.settle();
                self.is_listing = *phase == Phase::Lists;
                self.active.clear();
            }
            _ => {}
        }
        if BATCH <= self.batch.len() {
            self.settle();
        }
    }

    fn tick(&mut self) {
        self.settle();
    }
}

fn path(entries: &Entries<'_>, entry: EntryIndex) -> Option<String> {
    let mut path = String::new();
    entries.get(entry)?.write_path(&mut path);
    Some(path)
}

/// A fast hasher for entry indices. It needs no protection against collision attacks, because the
/// indices are not under the control of an attacker.
#[derive(Debug, Default)]
struct Spreading(u64);

impl Hasher for Spreading {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::event::Delivery;
    use crate::report::testing::{ONE_SOURCE, manifest};

    fn downloaded() -> Outcome {
        Outcome::Downloaded(Delivery { size: 7, sha256: Digest::of(b"x") })
    }

    fn run(recorder: &mut Recorder, entry: u64, outcome: Outcome) {
        let entry = EntryIndex(entry);
        recorder.event(&Event::Started { entry });
        recorder.event(&Event::Received { entry, bytes: 7 });
        recorder.event(&Event::Finished { entry, outcome, attempts: 1, received: 0 });
    }

    fn finish(recorder: Recorder, stopped: bool, summary: &Summary) -> Past {
        let manifest = manifest(ONE_SOURCE);
        let only = ["*-1.jpg".to_owned()];
        let setting =
            Setting { manifest: &manifest, command: "apply", only: &only, stopped, broken: false };
        recorder.finish(setting, summary)
    }

    #[test]
    fn a_run_is_recorded() {
        let mut recorder = Recorder::new(Instant::now());
        run(&mut recorder, 0, downloaded());
        let failure = Failure::new(ErrorKind::HttpStatus, "answered 503")
            .with_status(503)
            .at_origin("http://ngm.example");
        run(&mut recorder, 1, Outcome::Failed(failure));
        let kept = Event::Finished {
            entry: EntryIndex(2),
            outcome: Outcome::Kept,
            attempts: 0,
            received: 0,
        };
        recorder.event(&kept);
        let summary =
            Summary { entries: 3, downloaded: 1, failed: 1, kept: 1, ..Summary::default() };
        let past = finish(recorder, false, &summary);
        assert_eq!((past.exit, past.failed, past.bound), (Exit::Failed, 1, 338));
        assert_eq!((past.counts.downloaded, &past.only[..]), (1, &["*-1.jpg".to_owned()][..]));
        let failed = &past.failures[0];
        assert_eq!(failed.path.as_deref(), Some("0817-2.jpg"));
        assert_eq!((failed.source.as_str(), failed.status), ("wallpapers", Some(503)));
        let timeline = past.timeline.clone().unwrap();
        assert_eq!((timeline.total, timeline.transfers.len()), (2, 2));
        assert_eq!(timeline.flow.parts().iter().map(|part| part.0).sum::<u64>(), 14);
        let text = serde_json::to_string(&past).unwrap();
        assert_eq!(serde_json::from_str::<Past>(&text).unwrap(), past);
    }

    #[test]
    fn a_run_without_a_request_has_no_timeline() {
        let recorder = Recorder::new(Instant::now());
        let summary = Summary { entries: 3, kept: 3, ..Summary::default() };
        let past = finish(recorder, false, &summary);
        assert_eq!((past.exit, past.timeline), (Exit::Ok, None));
        let past = finish(Recorder::new(Instant::now()), true, &summary);
        assert_eq!(past.exit, Exit::Stopped);
    }

    #[test]
    fn the_record_is_bounded() {
        let mut recorder = Recorder::new(Instant::now());
        for number in 0..200_000 {
            let failed = number % 2 == 0;
            let failure = Failure::new(ErrorKind::Connect, "no");
            let outcome = if failed { Outcome::Failed(failure) } else { downloaded() };
            run(&mut recorder, number % 338, outcome);
            recorder.settle_until(u32::try_from(number).unwrap());
        }
        assert!(recorder.batch.capacity() <= 2 * BATCH);
        let past = finish(recorder, false, &Summary::default());
        assert_eq!((past.failed, past.failures.len()), (100_000, FAILURES));
        let timeline = past.timeline.unwrap();
        assert_eq!(timeline.total, 200_000);
        assert!(timeline.transfers.len() <= LONGEST + SAMPLED);
        assert!(SAMPLED / 2 <= timeline.transfers.len() && timeline.flow.parts().len() <= 200);
    }

    #[test]
    fn the_longest_transfers_are_kept() {
        let mut recorder = Recorder::new(Instant::now());
        let slow = EntryIndex(337);
        recorder.event(&Event::Started { entry: slow });
        for number in 0..10_000 {
            run(&mut recorder, number % 300, downloaded());
        }
        recorder.settle_until(4000);
        recorder.event(&Event::Finished {
            entry: slow,
            outcome: downloaded(),
            attempts: 1,
            received: 0,
        });
        recorder.settle_until(5000);
        let timeline = finish(recorder, false, &Summary::default()).timeline.unwrap();
        let found = timeline.transfers.iter().find(|transfer| transfer.path == "0817-338.jpg");
        assert_eq!(found.map(|transfer| (transfer.start, transfer.end)), Some((0, 5000)));
    }

    #[test]
    fn events_of_a_batch_are_spread_in_order() {
        let mut recorder = Recorder::new(Instant::now());
        recorder.settle_until(100);
        for number in 0..10 {
            run(&mut recorder, number, downloaded());
        }
        recorder.settle_until(160);
        let timeline = finish(recorder, false, &Summary::default()).timeline.unwrap();
        let times: Vec<_> = timeline.transfers.iter().map(|one| (one.start, one.end)).collect();
        assert_eq!((times[0], times[9]), ((102, 106), (156, 160)));
        assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{times:?}");
    }

    #[test]
    fn checksum_lists_are_not_transfers() {
        let mut recorder = Recorder::new(Instant::now());
        recorder.event(&Event::Phase { phase: Phase::Lists, total: Some(1) });
        recorder.event(&Event::Started { entry: EntryIndex(0) });
        recorder.tick();
        recorder.event(&Event::Phase { phase: Phase::Transferring, total: Some(1) });
        assert!(recorder.active.is_empty());
        run(&mut recorder, 0, downloaded());
        assert_eq!(finish(recorder, false, &Summary::default()).timeline.unwrap().total, 1);
    }
}
