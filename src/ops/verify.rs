//! `verify`: reads every file on disk and compares it with its pin, or with what the state recorded.
//!
//! Several threads read; the calling thread reports the findings in the order of the entries. Makes no
//! request and changes nothing.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::{Looked, look};
use crate::dest::inventory::Inventory;
use crate::dest::state::Fingerprint;
use crate::dest::{Dest, Stat};
use crate::digest::{Algorithms, Buffer, Digest, Digests};
use crate::event::{Event, Finding, Phase, Reporter, Verified};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::entry::{Entry, EntryIndex};
use crate::manifest::{Manifest, OnMissing};
use crate::ops::error::RunError;
use crate::ops::options::Options;
use crate::pin::lookup::Pins;
use crate::pin::{Pin, Pinned};
use crate::plan::{PinMatch, compare_with_pin};
use crate::rel_path::{RelPath, path_hash};
use crate::stop::Stop;

/// The most entries that a thread takes at a time.
const CHUNK: u64 = 32;
/// The most chunks that wait to be reported.
const WAITING: usize = 64;
/// The interval between reports of progress.
const TICK: Duration = Duration::from_millis(40);

/// The work of one call.
#[derive(Clone, Copy)]
struct Verification<'a> {
    manifest: &'a Manifest,
    options: &'a Options,
    pins: &'a Pins<'a>,
    /// None if the destination does not exist.
    dest: Option<&'a Dest>,
    /// What the state records. No walk filled it.
    known: &'a Inventory<'a>,
    stop: &'a Stop,
    /// Compare only sizes and times.
    quick: bool,
}

/// The number of files with each finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Files that are right.
    pub ok: u64,
    /// Files with other bytes.
    pub modified: u64,
    /// Missing files.
    pub gone: u64,
    /// Files without a pin or a record.
    pub unknown: u64,
    /// Files that are missing because upstream has none.
    pub absent: u64,
    /// Those of all of these that could not be read.
    pub unreadable: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The duration of the call.
    pub elapsed: Duration,
}

impl Findings {
    /// Whether no file is wrong, missing or unreadable. A file without a pin or a record is no
    /// failure.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.modified + self.gone + self.unreadable == 0
    }

    fn count(&mut self, verified: &Verified) {
        match verified.finding {
            Finding::Ok => self.ok += 1,
            Finding::Modified => self.modified += 1,
            Finding::Gone => self.gone += 1,
            Finding::Unknown => self.unknown += 1,
            Finding::Absent => self.absent += 1,
        }
        self.unreadable += u64::from(verified.failure.is_some());
    }
}

/// Reads every selected file on disk and compares it with its pin, or with the digest that natsync
/// recorded. Makes no request and changes nothing. `quick` compares only sizes and times.
///
/// # Errors
/// When entries of the manifest collide, the options select no entry, the lock is wrong, or the
/// destination cannot be read.
pub fn verify(
    manifest: &Manifest,
    options: &Options,
    quick: bool,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Findings, RunError> {
    let looked = look(manifest, options, reporter)?;
    let pins = looked.pins(manifest);
    let Looked { hashes, dest, state, .. } = &looked;
    let known = Inventory::of_state(state.as_ref(), hashes);
    let work = Verification {
        manifest,
        options,
        pins: &pins,
        dest: dest.as_ref(),
        known: &known,
        stop,
        quick,
    };
    run(&work, reporter)
}

type Chunk = (u64, Result<Vec<(EntryIndex, Verified)>, RunError>);

/// Verifies the chosen entries, and reports them in their order.
#[expect(clippy::disallowed_methods, reason = "the time that a run takes")]
fn run(work: &Verification<'_>, reporter: &mut dyn Reporter) -> Result<Findings, RunError> {
    let began = Instant::now();
    let bound = work.manifest.entries().bound();
    reporter.event(&Event::Phase { phase: Phase::Verifying, total: Some(bound) });
    let mut findings = Findings::default();
    let next = AtomicU64::new(0);
    let bytes = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // Small chunks for few entries, so that all threads get some of a few large files.
    let size = (bound / (threads as u64 * 16)).clamp(1, CHUNK);
    let outcome = std::thread::scope(|scope| {
        let (found, chunks) = sync_channel::<Chunk>(WAITING);
        for _ in 0..threads {
            let found = found.clone();
            scope.spawn(|| {
                let found = found;
                Worker { work, bytes: &bytes, buffer: Buffer::default() }
                    .run(&next, bound, size, &found);
            });
        }
        drop(found);
        let mut waiting = BTreeMap::new();
        let mut due = 0;
        loop {
            match chunks.recv_timeout(TICK) {
                Ok((number, chunk)) => {
                    waiting.insert(number, chunk?);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            while let Some(chunk) = waiting.remove(&due) {
                due += 1;
                for (entry, verified) in chunk {
                    findings.count(&verified);
                    reporter.event(&Event::Verified { entry, verified });
                }
            }
            reporter.event(&Event::Advanced { done: (due * size).min(bound) });
            reporter.tick();
        }
    });
    findings.bytes = bytes.into_inner();
    findings.elapsed = began.elapsed();
    outcome.map(|()| findings)
}

struct Worker<'a> {
    work: &'a Verification<'a>,
    bytes: &'a AtomicU64,
    buffer: Buffer,
}

enum Expected {
    Pin(Pin),
    Recorded(Digest),
    Nothing,
}

impl Worker<'_> {
    fn run(mut self, next: &AtomicU64, bound: u64, size: u64, found: &SyncSender<Chunk>) {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let first = number * size;
            if bound <= first || self.work.stop.is_requested() {
                return;
            }
            let chunk = self.chunk(first..bound.min(first + size));
            // The receiver is gone: the run failed on another thread.
            if found.send((number, chunk)).is_err() {
                return;
            }
        }
    }

    fn chunk(
        &mut self,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<(EntryIndex, Verified)>, RunError> {
        let work = self.work;
        let mut chunk = Vec::new();
        let mut path = String::new();
        for entry in work.manifest.entries().within(range) {
            path.clear();
            entry.write_path(&mut path);
            if !work.options.selection.matches(entry.source(), &path) {
                continue;
            }
            if work.stop.is_requested() {
                break;
            }
            let verified = self.look(&entry, &path)?;
            // A read that was interrupted proves nothing.
            let interrupted = verified
                .failure
                .as_ref()
                .is_some_and(|failure| failure.kind == ErrorKind::Interrupted);
            if !interrupted {
                chunk.push((entry.index(), verified));
            }
        }
        Ok(chunk)
    }

    fn look(&mut self, entry: &Entry<'_>, path: &str) -> Result<Verified, RunError> {
        let hash = path_hash(path);
        let recorded = self.work.known.recorded(hash);
        let pinned = self.work.pins.of(entry, path)?;
        let may_lack = entry.source().on_missing != OnMissing::Fail;
        let is_absent = pinned == Pinned::Missing
            || may_lack && self.work.known.is_missing(hash, || entry.identity());
        let expected = match (pinned, recorded) {
            (Pinned::To(pin), _) if !pin.checksums.is_empty() => Expected::Pin(pin),
            (_, Some(recorded)) => Expected::Recorded(recorded.sha256),
            (Pinned::To(pin), None) => Expected::Pin(pin),
            (_, None) => Expected::Nothing,
        };
        let checked = entry.path();
        let read = match self.work.dest {
            Some(dest) => self.compare(dest, &checked, &expected, recorded),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let only = |finding| Verified { finding, sha256: None, failure: None };
        Ok(match read {
            Ok(verified) => verified,
            Err(error) if is_gone(&error) => match expected {
                Expected::Nothing | Expected::Recorded(_) if is_absent => only(Finding::Absent),
                Expected::Nothing if may_lack => only(Finding::Unknown),
                _ => only(Finding::Gone),
            },
            Err(error) => Verified {
                finding: Finding::Unknown,
                sha256: None,
                failure: Some(unreadable(&error)),
            },
        })
    }

    fn compare(
        &mut self,
        dest: &Dest,
        path: &RelPath,
        expected: &Expected,
        recorded: Option<Fingerprint>,
    ) -> io::Result<Verified> {
        let found = |finding, sha256| Ok(Verified { finding, sha256, failure: None });
        if self.work.quick {
            let stat = dest.stat(path)?;
            let is_file = stat.is_file();
            let finding =
                if is_file { quick(&stat, expected, recorded) } else { Finding::Modified };
            return found(finding, None);
        }
        let algorithms = match expected {
            Expected::Nothing => {
                let is_file = dest.stat(path)?.is_file();
                let finding = if is_file { Finding::Unknown } else { Finding::Modified };
                return found(finding, None);
            }
            Expected::Recorded(_) => Algorithms::default(),
            Expected::Pin(pin) => pin.algorithms(),
        };
        let Some(file) = dest.open_file(path)? else { return found(Finding::Modified, None) };
        let go_on = || !self.work.stop.is_requested();
        let (digests, length) = Digests::read(file, algorithms, &mut self.buffer, go_on)?;
        self.bytes.fetch_add(length, Ordering::Relaxed);
        let sha256 = digests.sha256();
        let right = match expected {
            Expected::Recorded(recorded) => *recorded == sha256,
            Expected::Pin(pin) => compare_with_pin(pin, length, Some(&digests)) == PinMatch::Meets,
            Expected::Nothing => false,
        };
        found(if right { Finding::Ok } else { Finding::Modified }, Some(sha256))
    }
}

/// What size and times tell without reading.
fn quick(stat: &Stat, expected: &Expected, recorded: Option<Fingerprint>) -> Finding {
    let digests = recorded.map(|recorded| Digests::new(recorded.sha256, Vec::new()));
    let against_pin = match expected {
        Expected::Pin(pin) => compare_with_pin(pin, stat.size, digests.as_ref()),
        _ => PinMatch::Unknown,
    };
    match (against_pin, recorded) {
        (PinMatch::SizeDiffers | PinMatch::DigestDiffers, _) => Finding::Modified,
        (_, Some(recorded)) if recorded.compare(stat).looks_same() => Finding::Ok,
        (_, Some(recorded)) if recorded.size != stat.size => Finding::Modified,
        // Not recorded, touched, copied or changed: only reading tells.
        _ => Finding::Unknown,
    }
}

/// Whether no file is there, or a file stands where a folder of the path should be.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::Interrupted {
        return Failure::new(ErrorKind::Interrupted, "interrupted");
    }
    Failure::disk("read the file", error)
}
