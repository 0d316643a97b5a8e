//! `lock`: what upstream has is pinned, entry by entry.
//!
//! A new lock is made by merging three streams in the order of their paths: the lock that is there,
//! the state, and what this run learned. None of them is ever held in memory.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::iter::Peekable;

use super::run::{Done, run};
use super::{Options, prepare};
use crate::dest::state::{FileRecord, Recorded, State};
use crate::digest::Digest;
use crate::event::{Event, Reporter, Summary, warn};
use crate::manifest::entry::{EntryIndex, Form};
use crate::manifest::{Manifest, PathHashes};
use crate::ops::error::RunError;
use crate::ops::scope::Scope;
use crate::pin::lock::{
    Content, DigestFrom, Lock, LockLine, LockProblem, LockWriter, Standing, file_of,
};
use crate::pin::lookup::{Pinning, Pins};
use crate::pin::{Pin, Validators};
use crate::plan::Step;
use crate::rel_path::path_hash;
use crate::stop::Stop;

/// From so many entries on that have the same bytes, it is said so.
const SUSPICIOUS: u32 = 3;

/// What became of a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockReport {
    /// Entries that it pins.
    pub pinned: u64,
    /// Of the new ones: those whose digest a publisher states.
    pub published: u64,
    /// Of the new ones: those whose digest is that of the first bytes that came.
    pub first_use: u64,
    /// Of the new ones: those that upstream does not have.
    pub missing: u64,
    /// Entries that were pinned to something else before.
    pub changed: u64,
    /// Lines that the manifest no longer declares.
    pub dropped: u64,
    /// Entries that should be pinned and are not, since the state could not note them.
    pub lost: u64,
}

/// Pins what is not pinned yet, fetching what must be known for that; with `upgrade` all that is
/// chosen is pinned anew. Entries that failed keep the pin that they had.
///
/// # Errors
/// As [`super::apply`], and when the lock cannot be written.
pub fn lock(
    manifest: &Manifest,
    options: &Options,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<(Summary, LockReport), RunError> {
    let prepared = prepare(manifest, options, reporter)?;
    let old = prepared.lock.as_ref();
    let pinning = if options.upgrade { Pinning::Upgrading } else { Pinning::Completing };
    let pins = Pins::new(manifest, old).pinning(pinning);
    let pinned = old.map_or(0, |old| old.len() as u64);
    let mut report = LockReport { pinned, ..LockReport::default() };
    let scope = Scope { manifest, options, pins: &pins, dest: None, stop };
    let summary = run(scope, &prepared, None, reporter, |done, reporter| {
        let news = News::of(manifest, done, old)?;
        // A choice says nothing of the rest.
        let declared = options.selection.is_all().then_some(done.hashes);
        report = write(manifest, old, &news, declared, done.state, reporter)?;
        Ok(())
    })?;
    Ok((summary, report))
}

/// After an apply: pins for entries that the lock does not have yet.
pub(super) fn extend(
    lock: &Lock,
    done: &Done<'_>,
    manifest: &Manifest,
    reporter: &mut dyn Reporter,
) -> Result<(), RunError> {
    let news = News::of(manifest, done, None)?;
    if news.lines.is_empty() {
        return Ok(());
    }
    let report = write(manifest, Some(lock), &news, None, done.state, reporter)?;
    let added = report.pinned.saturating_sub(lock.len() as u64);
    if 0 < added {
        reporter.event(&Event::LockExtended { added });
    }
    Ok(())
}

/// What a run learned for the lock.
struct News {
    /// Entries that get a new line, by the hashes of their paths, in order.
    lines: Vec<NewLine>,
    /// Lines that stay in another form.
    edited: HashMap<u128, LockLine>,
}

/// An entry that gets a new line.
#[derive(Clone, Copy)]
struct NewLine {
    hash: u128,
    entry: EntryIndex,
    /// None where upstream has no such file.
    from: Option<DigestFrom>,
}

impl News {
    /// Of all entries that did not fail. Without `old` no line is edited.
    fn of(manifest: &Manifest, done: &Done<'_>, old: Option<&Lock>) -> Result<Self, RunError> {
        let mut news = Self { lines: Vec::new(), edited: HashMap::new() };
        let entries = manifest.entries();
        let mut path = String::new();
        for (index, step) in done.plan.steps() {
            if matches!(step, Step::None | Step::Obstructed(_)) || done.failed.contains(&index) {
                continue;
            }
            let Some(entry) = entries.get(index) else { continue };
            path.clear();
            entry.write_path(&mut path);
            let hash = path_hash(&path);
            if done.pins.writes(&entry, &path)? {
                let from = if done.absent.contains(&index) {
                    None
                } else if done.pins.of(&entry, &path)?.pin().is_some_and(Pin::is_published) {
                    Some(DigestFrom::Publisher)
                } else {
                    Some(DigestFrom::FirstUse)
                };
                news.lines.push(NewLine { hash, entry: index, from });
            } else if let Some(old) = old.filter(|old| old.has(hash))
                && let Some(line) = old.find(&path)?
                && let Standing::Edited { line, .. } = line.under(&entry)
            {
                news.edited.insert(hash, line);
            }
        }
        news.lines.sort_unstable_by_key(|line| line.hash);
        Ok(news)
    }

    /// The new line of what is noted, where there is to be one.
    fn line(&self, recorded: &Recorded<'_>, manifest: &Manifest) -> io::Result<Option<LockLine>> {
        let path = recorded.path();
        let hash = path_hash(path);
        let Ok(place) = self.lines.binary_search_by_key(&hash, |line| line.hash) else {
            return Ok(None);
        };
        let NewLine { entry, from, .. } = self.lines[place];
        let Some(declared) = manifest.entries().get(entry) else { return Ok(None) };
        let declared = declared.url(Form::Shown);
        let content = match (*recorded, from) {
            (Recorded::Missing { .. }, None) => Content::Missing,
            (Recorded::File(row), Some(from)) => {
                let FileRecord { url, served, size, digests, validators, .. } = row.record()?;
                // Validators are worth nothing at another URL.
                let here = url == declared;
                Content::File {
                    served: (here && served != url).then_some(served),
                    size,
                    sha256: digests.sha256(),
                    from,
                    validators: if here { validators } else { Validators::default() },
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(LockLine { path: path.to_owned(), url: declared, content }))
    }
}

/// Writes the lock anew. Without `declared` no line is dropped.
fn write(
    manifest: &Manifest,
    old: Option<&Lock>,
    news: &News,
    declared: Option<&PathHashes>,
    state: &State,
    reporter: &mut dyn Reporter,
) -> Result<LockReport, RunError> {
    let file = file_of(manifest.file());
    let unwritable =
        |source| RunError::Storage { doing: "write the lock", path: file.clone(), source };
    let lines: OldLines<'_> = match old {
        Some(old) => old.lines()?,
        None => Box::new(std::iter::empty()),
    };
    let mut merge = Merge {
        manifest,
        writer: LockWriter::create(&file, manifest.name()).map_err(unwritable)?,
        old: lines.peekable(),
        news,
        declared,
        report: LockReport::default(),
        taken: 0,
        same: HashMap::new(),
    };
    let mut failed = None;
    let read = state.in_order(|recorded| match merge.take(&recorded) {
        Ok(()) => true,
        Err(error) => {
            failed = Some(error);
            false
        }
    });
    if let Some(error) = failed {
        return Err(error.into_run_error(unwritable));
    }
    read.map_err(|error| RunError::Storage {
        doing: "read the state for",
        path: file.clone(),
        source: io::Error::other(error),
    })?;
    merge.keep_until(None).map_err(|error| error.into_run_error(unwritable))?;
    let Merge { writer, mut report, same, taken, .. } = merge;
    report.pinned = writer.lines();
    report.lost = news.lines.len() as u64 - taken;
    writer.finish().map_err(unwritable)?;
    warn(reporter, suspicion(&same));
    let lost = format!(
        "{} files are not pinned: they changed meanwhile, or the state could not be written; run `natsync lock`",
        report.lost
    );
    warn(reporter, (report.lost != 0).then_some(lost));
    Ok(report)
}

type OldLines<'a> = Box<dyn Iterator<Item = Result<LockLine, LockProblem>> + 'a>;

struct Merge<'a> {
    manifest: &'a Manifest,
    writer: LockWriter,
    old: Peekable<OldLines<'a>>,
    news: &'a News,
    declared: Option<&'a PathHashes>,
    report: LockReport,
    /// New lines so far.
    taken: u64,
    /// How many new lines have which digest, and the path of one.
    same: HashMap<Digest, (u32, String)>,
}

enum MergeError {
    Lock(LockProblem),
    Disk(io::Error),
}

impl MergeError {
    fn into_run_error(self, unwritable: impl Fn(io::Error) -> RunError) -> RunError {
        match self {
            Self::Lock(problem) => problem.into(),
            Self::Disk(error) => unwritable(error),
        }
    }
}

impl From<io::Error> for MergeError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Merge<'_> {
    /// Takes what the state notes of the next path.
    fn take(&mut self, recorded: &Recorded<'_>) -> Result<(), MergeError> {
        let Some(mut line) = self.news.line(recorded, self.manifest)? else {
            return Ok(());
        };
        self.taken += 1;
        self.keep_until(Some(&line.path))?;
        let before = self.next_old_if(|old| old.path == line.path)?;
        if let Some(before) = &before {
            line.settle_into(before);
        }
        if before.as_ref() != Some(&line) {
            self.account(&line, before.is_some());
        }
        self.writer.write(&line)?;
        Ok(())
    }

    fn account(&mut self, line: &LockLine, was_pinned: bool) {
        self.report.changed += u64::from(was_pinned);
        let Content::File { sha256, from, size, .. } = &line.content else {
            self.report.missing += 1;
            return;
        };
        match from {
            DigestFrom::Publisher => self.report.published += 1,
            DigestFrom::FirstUse => self.report.first_use += 1,
        }
        // Nothing is the same as nothing, and that is no sign of anything.
        if *size != 0 {
            let (count, path) = self.same.entry(*sha256).or_default();
            *count += 1;
            if *count == SUSPICIOUS {
                path.clone_from(&line.path);
            }
        }
    }

    /// Writes the old lines before that path, or all that are left.
    fn keep_until(&mut self, path: Option<&str>) -> Result<(), MergeError> {
        while let Some(mut line) =
            self.next_old_if(|old| path.is_none_or(|path| old.path.as_str() < path))?
        {
            let hash = path_hash(&line.path);
            if self.declared.is_some_and(|declared| !declared.contains(hash)) {
                self.report.dropped += 1;
                continue;
            }
            if let Some(edited) = self.news.edited.get(&hash) {
                line.clone_from(edited);
                self.report.changed += 1;
            }
            self.writer.write(&line)?;
        }
        Ok(())
    }

    fn next_old_if(
        &mut self,
        wanted: impl Fn(&LockLine) -> bool,
    ) -> Result<Option<LockLine>, MergeError> {
        let next = self.old.next_if(|line| line.as_ref().map_or(true, &wanted));
        next.transpose().map_err(MergeError::Lock)
    }
}

/// Puts into words that many entries have the same bytes.
fn suspicion(same: &HashMap<Digest, (u32, String)>) -> Option<String> {
    let mut groups: Vec<_> = same.values().filter(|(count, _)| SUSPICIOUS <= *count).collect();
    groups.sort_unstable_by(|one, other| other.cmp(one));
    let (count, path) = groups.first()?;
    let mut message = format!("{count} entries were pinned to the same bytes (such as {path})");
    if 1 < groups.len() {
        let _ = write!(message, ", and so were {} further groups", groups.len() - 1);
    }
    message.push_str("; if that is an error page of the server, `expect` can refuse it");
    Some(message)
}
