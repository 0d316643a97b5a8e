//! Finding out what is to be done: the directory is looked at, each entry is decided on, and files
//! whose digest decides are read.

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
use crate::manifest::entry::{Entry, EntryIndex, Form};
use crate::manifest::{Check, Orphans, PathHashes, Source};
use crate::ops::background::in_background;
use crate::ops::error::RunError;
use crate::ops::options::Options;
use crate::ops::prune;
use crate::ops::scope::Scope;
use crate::pin::{Pin, Pinned, Validators};
use crate::plan::{
    Action, Decision, Found, Obstacle, OnDisk, Plan, Policy, Reason, Step, Verdict, decide,
};
use crate::rel_path::path_hash;
use crate::stop::Stop;
use crate::threads::{into_inner, lock, on_all_cores};

/// What reading told about files that stay as they are is handed over in parts of about this size.
const NOTES: usize = 8192;

/// Keeps what reading told.
pub(crate) type Keep<'a> = &'a (dyn Fn(&[Note]) + Sync);

/// What deciding needs.
struct Look<'a> {
    scope: Scope<'a>,
    inventory: &'a Inventory<'a>,
    now: Timestamp,
}

/// So many entries are decided on at a time.
const CHUNK: u64 = 4096;

/// What was decided on some entries.
#[derive(Default)]
struct Decided {
    steps: Vec<(EntryIndex, Step)>,
    /// Files that must be read first.
    unread: Vec<(EntryIndex, Algorithms)>,
}

/// What was read of a file.
enum Content {
    Read(Digests, Stat),
    Gone,
    Unreadable,
    /// The end of the run was asked for first.
    Interrupted,
}

/// Decides on each chosen entry, from what a scan found. `keep` is handed what reading told about files that stay as
/// they are.
///
/// # Errors
/// When the lock cannot be read.
pub(crate) fn survey(
    scope: Scope<'_>,
    scan: Scan<'_>,
    keep: Keep<'_>,
    reporter: &mut dyn Reporter,
) -> Result<Plan, RunError> {
    let Scan { inventory, owned, managed, .. } = scan;
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
    orphans.retain(|owned| {
        let hash = path_hash(&owned.path);
        inventory.has_file(hash) || inventory.is_unreadable(hash)
    });
    orphans.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    let is_pruning = scope.options.prune.unwrap_or(scope.manifest.orphans() == Orphans::Prune);
    // A lock is no reason to delete, and a choice says nothing of what is not chosen.
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
    }
    plan.set_orphans(orphans.into_iter().map(|owned| owned.path).collect());
    Ok(plan)
}

/// One entry with what was found about it and what follows from that.
pub(crate) struct Evidence {
    pub(crate) pinned: Pinned,
    pub(crate) disk: OnDisk,
    pub(crate) step: Step,
}

/// Decides on one entry as [`survey`] does, and keeps the evidence.
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
    let disk = inventory.look(path, path_hash(path), false, || entry.url(Form::Shown));
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

/// Looks at the directory and the state.
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
        Inventory::scan(dest, state, scope.manifest.name(), declared, advanced, go_on)
    })
}

impl Look<'_> {
    /// Decides on each chosen entry, on all cores. Answers which files must be read first.
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
            let sees = options.selection.sees_source(entry.source());
            if sees == Some(false) {
                continue;
            }
            path.clear();
            entry.write_path(&mut path);
            if sees.is_none() && !options.selection.matches(entry.source(), &path) {
                continue;
            }
            if stop.is_requested() {
                // It is skipped in the end.
                decided.steps.push((entry.index(), undecided()));
                continue;
            }
            if let Some(pinned) = pins.settled(&entry, &path)? {
                decided.steps.push((entry.index(), Step::Do(settled(&pinned))));
                continue;
            }
            let pinned = pins.of(&entry, &path)?;
            let has_digest = pinned.pin().is_some_and(|pin| !pin.checksums.is_empty());
            let url = || entry.url(Form::Shown);
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
            // A pin is what upstream has now, not what it had once.
            (policy.check, policy.missing_ttl) = (Check::Always, Duration::ZERO);
        }
        Ok(match decide(pinned, disk, &policy) {
            // Without the network nobody can be asked: what is there stays, and is not pinned.
            Verdict::Decided(Decision { action: Action::Revalidate, reason })
                if options.offline && !pins.is_for_lock() =>
            {
                Verdict::Decided(Decision::new(Action::Keep, reason))
            }
            verdict => verdict,
        })
    }

    /// Reads files whose digest decides, on all cores, and decides.
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

    /// Decides on an entry whose file was read, and makes the note of what reading told.
    fn settle(
        &self,
        entry: &Entry<'_>,
        content: Content,
    ) -> Result<Option<(Step, Option<Note>)>, RunError> {
        let path = entry.path();
        let path = path.as_str();
        let seen = self.inventory.look(path, path_hash(path), false, || entry.url(Form::Shown));
        let pinned = self.scope.pins.of(entry, path)?;
        let Some(settled) = self.with_content(entry, path, &pinned, seen, content)? else {
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

    /// Decides on an entry with what reading its file told. None where the read was interrupted.
    fn with_content(
        &self,
        entry: &Entry<'_>,
        path: &str,
        pinned: &Pinned,
        seen: OnDisk,
        content: Content,
    ) -> Result<Option<Settled>, RunError> {
        let (disk, stat) = match content {
            Content::Interrupted => return Ok(None),
            Content::Unreadable => {
                let found = Found::Obstacle(Obstacle::Unreadable);
                let step = Step::Obstructed(Obstacle::Unreadable);
                return Ok(Some(Settled { step, disk: OnDisk { found, ..seen }, stat: None }));
            }
            Content::Gone => (OnDisk { found: Found::Nothing, record: None, ..seen }, None),
            Content::Read(digests, stat) => {
                let found = Found::File(stat.size);
                (OnDisk { found, digests: Some(digests), ..seen }, Some(stat))
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
            let url = entry.url(Form::Shown);
            let (provenance, served, validators) = match validators {
                // The lock tells that upstream served these bytes.
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

/// The decision on an entry whose file was read.
struct Settled {
    step: Step,
    disk: OnDisk,
    /// How the file looked when it was read, if it could be.
    stat: Option<Stat>,
}

/// The digests that decide on a file.
fn algorithms_of(pinned: &Pinned) -> Algorithms {
    pinned.pin().map_or_else(Algorithms::default, Pin::algorithms)
}

/// Until it is read: if nobody gets to that, it is skipped as anything else that was to be done.
fn undecided() -> Step {
    Step::Do(Decision::new(Action::Revalidate, Reason::Stale))
}

/// What to do with an entry of which nothing need be known.
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
        // A file that changes while it is read has no digest.
        Ok((digests, before, after)) if before == after => Content::Read(digests, before),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Content::Interrupted,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Content::Gone,
        Ok(_) | Err(_) => Content::Unreadable,
    }
}
