//! Finding out what is to be done: the directory is looked at, each entry is decided on, and files
//! whose digest decides are read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::background::in_background;
use crate::dest::{Dest, Stat};
use crate::digest::Digest;
use crate::entry::{Entry, EntryIndex, Form};
use crate::event::{Event, Phase, Reporter};
use crate::inventory::{Inventory, Scan};
use crate::manifest::{Manifest, PathHashes, Source};
use crate::options::Options;
use crate::plan::{Action, Decision, Found, Obstacle, OnDisk, Plan, Policy, Step, Verdict, decide};
use crate::rel_path::path_hash;
use crate::state::{Note, State};
use crate::stop::Stop;

/// What is to be done, and what was learned on the way.
pub(crate) struct Survey {
    pub(crate) plan: Plan,
    /// Files that were read again and found unchanged.
    pub(crate) touched: Vec<Note>,
    /// The state turned out to be damaged.
    pub(crate) damaged: bool,
}

impl Survey {
    /// Looks, and decides on each chosen entry.
    pub(crate) fn make(
        manifest: &Manifest,
        options: &Options,
        dest: Option<&Dest>,
        state: Option<&State>,
        hashes: &PathHashes,
        stop: &Stop,
        reporter: &mut dyn Reporter,
    ) -> Self {
        let scan = match dest {
            Some(dest) => {
                reporter.event(&Event::Phase { phase: Phase::Scanning, total: None });
                in_background(reporter, |seen| {
                    let advanced = |files| seen.store(files, Ordering::Relaxed);
                    Inventory::scan(dest, state, manifest.name(), advanced, || !stop.is_requested())
                })
            }
            None => Scan::default(),
        };
        let damaged = scan.damaged;
        let now = Timestamp::now();
        let (mut plan, unread) = decide_all(manifest, options, &scan.inventory, now);
        let mut touched = Vec::new();
        if let Some(dest) = dest.filter(|_| !unread.is_empty()) {
            reporter
                .event(&Event::Phase { phase: Phase::Hashing, total: Some(unread.len() as u64) });
            let read =
                in_background(reporter, |done| read_all(manifest, dest, &unread, done, stop));
            for (index, content) in read {
                settle_read(
                    manifest,
                    options,
                    &scan.inventory,
                    now,
                    index,
                    content,
                    &mut plan,
                    &mut touched,
                );
            }
        }
        let mut orphans: Vec<String> = scan
            .owned
            .into_iter()
            .filter(|path| {
                let hash = path_hash(path);
                !hashes.contains(hash) && scan.inventory.has_file(hash)
            })
            .collect();
        orphans.sort_unstable();
        plan.set_orphans(orphans);
        Self { plan, touched, damaged }
    }
}

/// Decides on each chosen entry. Answers also which files must be read first.
fn decide_all(
    manifest: &Manifest,
    options: &Options,
    inventory: &Inventory,
    now: Timestamp,
) -> (Plan, Vec<EntryIndex>) {
    let entries = manifest.entries();
    let mut plan = Plan::with_bound(entries.bound());
    let mut unread = Vec::new();
    let mut path = String::new();
    for entry in entries.iter() {
        let sees = options.selection.sees_source(entry.source());
        if sees == Some(false) {
            continue;
        }
        path.clear();
        entry.write_path(&mut path);
        if sees.is_none() && !options.selection.matches(entry.source(), &path) {
            continue;
        }
        let disk = inventory.look(&path, path_hash(&path), || entry.url(Form::Shown));
        match decide(&disk, &policy(entry.source(), options, now)) {
            Verdict::Decided(decision) => {
                plan.set(entry.index(), Step::Do(offline(options, decision)));
            }
            Verdict::Obstructed(obstacle) => plan.set(entry.index(), Step::Obstructed(obstacle)),
            Verdict::NeedsDigest => {
                // Counted as something until it is read.
                plan.set(entry.index(), Step::Obstructed(Obstacle::Unreadable));
                unread.push(entry.index());
            }
        }
    }
    (plan, unread)
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

/// Without the network nobody can be asked: what is there stays.
fn offline(options: &Options, decision: Decision) -> Decision {
    match decision.action {
        Action::Revalidate if options.offline => Decision::new(Action::Keep, decision.reason),
        _ => decision,
    }
}

type Content = Option<(Digest, Stat)>;

/// Reads files whose digest decides, on all cores. What cannot be read has no content.
fn read_all(
    manifest: &Manifest,
    dest: &Dest,
    unread: &[EntryIndex],
    done: &AtomicU64,
    stop: &Stop,
) -> Vec<(EntryIndex, Content)> {
    let next = AtomicUsize::new(0);
    let read = Mutex::new(Vec::with_capacity(unread.len()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(unread.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let entries = manifest.entries();
                while let Some(&index) = unread.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let content = entries.get(index).and_then(|entry| read_one(dest, &entry, stop));
                    read.lock().unwrap_or_else(PoisonError::into_inner).push((index, content));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    read.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn read_one(dest: &Dest, entry: &Entry<'_>, stop: &Stop) -> Content {
    let path = entry.path();
    let before = dest.stat(&path).ok()?;
    let (digest, _) = Digest::of_reader(dest.read(&path).ok()?, || !stop.is_requested()).ok()?;
    // A file that changes while it is read has no digest.
    (dest.stat(&path).ok()? == before).then_some((digest, before))
}

#[expect(
    clippy::too_many_arguments,
    reason = "the second half of a loop, with what the first half had at hand"
)]
fn settle_read(
    manifest: &Manifest,
    options: &Options,
    inventory: &Inventory,
    now: Timestamp,
    index: EntryIndex,
    content: Content,
    plan: &mut Plan,
    touched: &mut Vec<Note>,
) {
    let (Some(entry), Some((digest, stat))) = (manifest.entries().get(index), content) else {
        return;
    };
    let path = entry.path();
    let seen = inventory.look(path.as_str(), path_hash(path.as_str()), || entry.url(Form::Shown));
    if seen.record.as_ref().is_some_and(|record| record.digest == digest) {
        touched.push(Note::Touched { path: path.as_str().to_owned(), stat });
    }
    let disk = OnDisk { found: Found::File, digest: Some(digest), ..seen };
    if let Verdict::Decided(decision) = decide(&disk, &policy(entry.source(), options, now)) {
        plan.set(index, Step::Do(offline(options, decision)));
    }
}
