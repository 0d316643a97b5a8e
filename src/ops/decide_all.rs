//! Makes the plan of a run: scans the destination, decides about each chosen entry, and reads the
//! files whose digest is needed for the decision.

use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::dest::inventory::{Inventory, Owned, Scan};
use crate::dest::state::{FileRecord, Note, Provenance, State};
use crate::dest::{Dest, Stat};
use crate::digest::{Algorithms, Buffer, Digests};
use crate::event::{Event, Phase, Reporter};
use crate::manifest::entry::{Entry, EntryIndex};
use crate::manifest::{Check, EDGE, Orphans, PathHashes, Source};
use crate::ops::background::in_background;
use crate::ops::error::RunError;
use crate::ops::options::Options;
use crate::ops::scope::Scope;
use crate::ops::{ownership, prune};
use crate::pin::{Pin, Pinned, Validators};
use crate::plan::{
    Action, Decision, Found, Obstacle, OnDisk, Plan, Policy, Reason, Step, Verdict, decide,
};
use crate::rel_path::path_hash;
use crate::stop::Stop;
use crate::threads::{into_inner, lock, on_all_cores};

/// About the number of notes that are written to the state at a time. The notes record the digests
/// of files that were read and stay as they are.
const NOTES: usize = 8192;

/// Writes the notes about files that were read to the state.
pub(crate) type Keep<'a> = &'a (dyn Fn(&[Note]) + Sync);

/// The inputs of a decision, besides the entry.
struct Look<'a> {
    scope: Scope<'a>,
    inventory: &'a Inventory<'a>,
    now: Timestamp,
}

/// The number of entries that a thread takes at a time.
const CHUNK: u64 = 4096;

/// The decisions about a chunk of entries.
#[derive(Default)]
struct Decided {
    steps: Vec<(EntryIndex, Step)>,
    /// Entries whose file must be read before the decision, with the digests to compute.
    unread: Vec<(EntryIndex, Algorithms)>,
}

/// The result of reading a file.
enum Content {
    Read(Digests, Stat),
    Gone,
    Unreadable,
    /// The run was stopped before the end of the file.
    Interrupted,
}

/// Decides about each chosen entry from the result of a scan. `keep` gets the notes about files
/// that were read and stay as they are.
///
/// # Errors
/// When the lock cannot be read.
pub(crate) fn make_plan(
    scope: Scope<'_>,
    scan: Scan<'_>,
    keep: Keep<'_>,
    reporter: &mut dyn Reporter,
) -> Result<Plan, RunError> {
    let Scan { inventory, owned, unclear, managed, .. } = scan;
    let look = Look {
        scope,
        inventory: &inventory,
        now: scope.options.now.unwrap_or_else(Timestamp::now),
    };
    let mut plan = Plan::with_bound(scope.manifest.entries().bound());
    plan.set_managed(managed);
    let unread = look.decide_all(&mut plan)?;
    if let Some(dest) = scope.dest.filter(|_| !unread.is_empty()) {
        reporter.event(&Event::Phase { phase: Phase::Hashing, total: Some(unread.len() as u64) });
        in_background(reporter, |done| look.read_all(dest, &unread, &mut plan, keep, done))?;
    }
    let mut orphans = owned;
    let is_pruning = scope.options.prune.unwrap_or(scope.manifest.orphans() == Orphans::Prune);
    // `natsync lock` deletes nothing, and a selection of entries does not decide about other files.
    if is_pruning
        && !scope.pins.is_for_lock()
        && scope.options.selection.is_all()
        && let Some(dest) = scope.dest
    {
        let mut prunes = Vec::new();
        orphans.retain(|Owned { path, recorded }| {
            let found = prune::look(dest, path, recorded, Reason::NotInManifest, scope.stop);
            let stays = found.is_none();
            prunes.extend(found);
            stays
        });
        plan.add_prunes(prunes);
        plan.set_refusal(ownership::refusal(&unclear));
    }
    let unclear = unclear.into_iter().flat_map(|unclear| unclear.files);
    let mut orphans: Vec<_> = orphans.into_iter().chain(unclear).map(|file| file.path).collect();
    orphans.sort_unstable();
    plan.set_orphans(orphans);
    Ok(plan)
}

/// The decision about one entry, with the evidence for it.
pub(crate) struct Evidence {
    pub(crate) pinned: Pinned,
    pub(crate) disk: OnDisk,
    pub(crate) step: Step,
}

/// Decides about one entry by the same rules as [`make_plan`], and returns the evidence, too.
///
/// # Errors
/// When the lock cannot be read.
pub(crate) fn decide_one(
    scope: Scope<'_>,
    inventory: &Inventory<'_>,
    entry: &Entry<'_>,
) -> Result<Evidence, RunError> {
    let look = Look { scope, inventory, now: scope.options.now.unwrap_or_else(Timestamp::now) };
    let path = entry.path();
    let path = path.as_str();
    let pinned = scope.pins.of(entry, path)?;
    let disk = inventory.look(path, path_hash(path), false, || entry.identity());
    let step = match look.decide(entry, path, &pinned, &disk)? {
        Verdict::Decided(decision) => Step::Do(decision),
        Verdict::Obstructed(obstacle) => Step::Obstructed(obstacle),
        Verdict::NeedsDigest => {
            let Some(dest) = scope.dest else {
                return Ok(Evidence { pinned, disk, step: Step::None });
            };
            let algorithms = algorithms_of(&pinned);
            let content = read_one(dest, entry, algorithms, &mut Buffer::default(), scope.stop);
            let Some(settled) = look.with_content(entry, path, &pinned, disk.clone(), content)?
            else {
                return Ok(Evidence { pinned, disk, step: Step::None });
            };
            return Ok(Evidence { pinned, disk: settled.disk, step: settled.step });
        }
    };
    Ok(Evidence { pinned, disk, step })
}

/// Scans the destination and reads the state.
pub(crate) fn scan<'h>(
    scope: Scope<'_>,
    state: Option<&State>,
    declared: &'h PathHashes,
    reporter: &mut dyn Reporter,
) -> Scan<'h> {
    let Some(dest) = scope.dest else {
        return Scan::default();
    };
    reporter.event(&Event::Phase { phase: Phase::Scanning, total: None });
    in_background(reporter, |seen| {
        let advanced = |files| seen.store(files, Ordering::Relaxed);
        let go_on = || !scope.stop.is_requested();
        Inventory::scan(dest, state, declared, advanced, go_on)
    })
}

impl Look<'_> {
    /// Decides about each chosen entry, on all cores. Returns the entries whose file must be read
    /// first.
    fn decide_all(&self, plan: &mut Plan) -> Result<Vec<(EntryIndex, Algorithms)>, RunError> {
        let bound = self.scope.manifest.entries().bound();
        let next = AtomicU64::new(0);
        let made = Mutex::new((plan, Vec::new()));
        let work = || -> Result<(), RunError> {
            loop {
                let first = next.fetch_add(1, Ordering::Relaxed) * CHUNK;
                if bound <= first {
                    return Ok(());
                }
                let decided = self.decide_some(first..bound.min(first + CHUNK))?;
                let mut made = lock(&made);
                let (plan, unread) = &mut *made;
                for (entry, step) in decided.steps {
                    plan.set(entry, step);
                }
                unread.extend(decided.unread);
            }
        };
        on_all_cores(usize::try_from(bound.div_ceil(CHUNK)).unwrap_or(usize::MAX), work)?;
        let (_, mut unread) = into_inner(made);
        unread.sort_unstable_by_key(|&(entry, _)| entry);
        Ok(unread)
    }

    fn decide_some(&self, range: Range<u64>) -> Result<Decided, RunError> {
        let Scope { manifest, options, pins, stop, .. } = self.scope;
        let mut decided = Decided::default();
        let mut path = String::new();
        for entry in manifest.entries().within(range) {
            // `None`: the choice depends on the path.
            let chosen = options.selection.sees_source(entry.source());
            if chosen == Some(false) {
                continue;
            }
            path.clear();
            entry.write_path(&mut path);
            if chosen.is_none() && !options.selection.matches(entry.source(), &path) {
                continue;
            }
            if stop.is_requested() {
                // After a stop, an entry with an open decision gets the outcome "skipped".
                decided.steps.push((entry.index(), undecided()));
                continue;
            }
            if let Some(pinned) = pins.settled(&entry, &path)? {
                decided.steps.push((entry.index(), Step::Do(settled(&pinned))));
                continue;
            }
            let pinned = pins.of(&entry, &path)?;
            let has_digest = pinned.pin().is_some_and(|pin| !pin.checksums.is_empty());
            let url = || entry.identity();
            let disk = self.inventory.look(&path, path_hash(&path), has_digest, url);
            let step = match self.decide(&entry, &path, &pinned, &disk)? {
                Verdict::Decided(decision) => Step::Do(decision),
                Verdict::Obstructed(obstacle) => Step::Obstructed(obstacle),
                Verdict::NeedsDigest => {
                    decided.unread.push((entry.index(), algorithms_of(&pinned)));
                    undecided()
                }
            };
            decided.steps.push((entry.index(), step));
        }
        Ok(decided)
    }

    fn decide(
        &self,
        entry: &Entry<'_>,
        path: &str,
        pinned: &Pinned,
        disk: &OnDisk,
    ) -> Result<Verdict, RunError> {
        let Scope { options, pins, .. } = self.scope;
        let mut policy = policy(entry.source(), options, self.now);
        let writes = pins.writes(entry, path)?;
        if writes {
            // A new pin must be what upstream has now, so a fresh file is revalidated, too.
            (policy.check, policy.missing_ttl) = (Check::Always, Duration::ZERO);
        }
        Ok(match decide(pinned, disk, &policy) {
            // Offline, the file cannot be revalidated: it is kept as it is, and gets no pin.
            Verdict::Decided(Decision { action: Action::Revalidate, reason })
                if options.offline && !pins.is_for_lock() =>
            {
                Verdict::Decided(Decision::new(Action::Keep, reason))
            }
            Verdict::Decided(Decision { action: Action::Keep, .. })
                if !self.has_expected_kind(entry) =>
            {
                Verdict::Decided(Decision::new(Action::Replace, Reason::Unexpected))
            }
            verdict => verdict,
        })
    }

    /// Whether the file of an entry has the kind that the manifest expects. A file that cannot be
    /// read is not judged by its kind.
    fn has_expected_kind(&self, entry: &Entry<'_>) -> bool {
        let Some((kind, dest)) = entry.source().expect.kind.zip(self.scope.dest) else {
            return true;
        };
        let edges = dest.read(&entry.path()).and_then(|file| file.edges(EDGE));
        edges.map_or(true, |(beginning, end)| kind.matches(&beginning, &end))
    }

    /// Reads the files whose digest is needed, on all cores, and decides about their entries.
    fn read_all(
        &self,
        dest: &Dest,
        unread: &[(EntryIndex, Algorithms)],
        plan: &mut Plan,
        keep: Keep<'_>,
        done: &AtomicU64,
    ) -> Result<(), RunError> {
        let next = AtomicUsize::new(0);
        let made = Mutex::new((plan, Vec::new()));
        let work = || -> Result<(), RunError> {
            let entries = self.scope.manifest.entries();
            let mut buffer = Buffer::default();
            while let Some(&(index, algorithms)) = unread.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let Some(entry) = entries.get(index) else { continue };
                let content = read_one(dest, &entry, algorithms, &mut buffer, self.scope.stop);
                if let Some((step, note)) = self.settle(&entry, content)? {
                    let mut made = lock(&made);
                    let (plan, notes) = &mut *made;
                    plan.set(index, step);
                    notes.extend(note);
                    let full = (NOTES <= notes.len()).then(|| std::mem::take(notes));
                    drop(made);
                    if let Some(notes) = full {
                        keep(&notes);
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        on_all_cores(unread.len(), work)?;
        let (_, notes) = into_inner(made);
        if !notes.is_empty() {
            keep(&notes);
        }
        Ok(())
    }

    /// Decides about an entry whose file was read, and makes the note that records its digests.
    fn settle(
        &self,
        entry: &Entry<'_>,
        content: Content,
    ) -> Result<Option<(Step, Option<Note>)>, RunError> {
        let path = entry.path();
        let path = path.as_str();
        let disk = self.inventory.look(path, path_hash(path), false, || entry.identity());
        let pinned = self.scope.pins.of(entry, path)?;
        let Some(settled) = self.with_content(entry, path, &pinned, disk, content)? else {
            return Ok(None);
        };
        let note = match (settled.step, settled.stat, &settled.disk.digests) {
            (Step::Do(decision), Some(stat), Some(digests)) => {
                self.note(entry, &settled.disk, decision, digests, stat)?
            }
            _ => None,
        };
        Ok(Some((settled.step, note)))
    }

    /// Decides about an entry with the digests of its file. None if the read was interrupted.
    fn with_content(
        &self,
        entry: &Entry<'_>,
        path: &str,
        pinned: &Pinned,
        before: OnDisk,
        content: Content,
    ) -> Result<Option<Settled>, RunError> {
        let (disk, stat) = match content {
            Content::Interrupted => return Ok(None),
            Content::Unreadable => {
                let found = Found::Obstacle(Obstacle::Unreadable);
                let step = Step::Obstructed(Obstacle::Unreadable);
                return Ok(Some(Settled { step, disk: OnDisk { found, ..before }, stat: None }));
            }
            Content::Gone => (OnDisk { found: Found::Nothing, record: None, ..before }, None),
            Content::Read(digests, stat) => {
                let found = Found::File(stat.size);
                (OnDisk { found, digests: Some(digests), ..before }, Some(stat))
            }
        };
        let step = match self.decide(entry, path, pinned, &disk)? {
            Verdict::Decided(decision) => Step::Do(decision),
            Verdict::Obstructed(_) | Verdict::NeedsDigest => return Ok(None),
        };
        Ok(Some(Settled { step, disk, stat }))
    }

    fn note(
        &self,
        entry: &Entry<'_>,
        disk: &OnDisk,
        decision: Decision,
        digests: &Digests,
        stat: Stat,
    ) -> Result<Option<Note>, RunError> {
        let path = entry.path().as_str().to_owned();
        let is_known = disk
            .record
            .as_ref()
            .is_some_and(|record| record.same_url && record.digests.sha256() == digests.sha256());
        if is_known {
            return Ok(Some(Note::Read { path, stat, digests: digests.clone() }));
        }
        if decision.action == Action::Keep {
            let validators = self.scope.pins.validators(entry, &path, digests.sha256())?;
            let url = entry.kept_at(0, 0, self.inventory.key());
            let (provenance, served, validators) = match validators {
                // The lock has validators for this digest: upstream served these bytes before.
                Some((served, validators)) => (Provenance::Confirmed, served, validators),
                None => (Provenance::MatchedPin, url.clone(), Validators::default()),
            };
            let record = FileRecord {
                url,
                served,
                size: stat.size,
                stamp: stat.stamp(),
                racy: stat.is_racy(Timestamp::now()),
                digests: digests.clone(),
                provenance,
                checked: None,
                changed: None,
                validators,
            };
            return Ok(Some(Note::File { path, record: Box::new(record) }));
        }
        Ok(None)
    }
}

/// The decision about an entry whose file was read.
struct Settled {
    step: Step,
    disk: OnDisk,
    /// The stat of the file when it was read; none if it could not be read.
    stat: Option<Stat>,
}

/// The algorithms whose digests the decision needs.
fn algorithms_of(pinned: &Pinned) -> Algorithms {
    pinned.pin().map_or_else(Algorithms::default, Pin::algorithms)
}

/// A placeholder for a decision that is still open, because the file was not read yet or the run
/// was stopped. If it stays, the entry gets the outcome "skipped", as any other one that needs a
/// request.
fn undecided() -> Step {
    Step::Do(Decision::new(Action::Revalidate, Reason::Stale))
}

/// The decision about an entry whose pin suffices: neither its file nor upstream is looked at.
fn settled(pinned: &Pinned) -> Decision {
    match pinned {
        Pinned::Missing => Decision::new(Action::Absent, Reason::MissingUpstream),
        _ => Decision::new(Action::Keep, Reason::Pinned),
    }
}

fn policy(source: &Source, options: &Options, now: Timestamp) -> Policy {
    Policy {
        check: source.check,
        missing_ttl: source.missing_ttl,
        force: options.force && !options.offline,
        rehash: options.rehash,
        sizes: source.expect.sizes(),
        now,
    }
}

fn read_one(
    dest: &Dest,
    entry: &Entry<'_>,
    algorithms: Algorithms,
    buffer: &mut Buffer,
    stop: &Stop,
) -> Content {
    let path = entry.path();
    let mut read = || -> io::Result<(Digests, Stat, Stat)> {
        let file = dest.read(&path)?;
        let before = *file.stat();
        let go_on = || !stop.is_requested();
        let (digests, _) = Digests::read(file, algorithms, buffer, go_on)?;
        Ok((digests, before, dest.stat(&path)?))
    };
    match read() {
        // The stat before and after the read must agree: a file that changed meanwhile has no
        // certain digest.
        Ok((digests, before, after)) if before == after => Content::Read(digests, before),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Content::Interrupted,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Content::Gone,
        Ok(_) | Err(_) => Content::Unreadable,
    }
}
