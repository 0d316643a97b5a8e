//! `lock`: pins what upstream serves, entry by entry.
//!
//! A new lock is a merge of three streams, each sorted by path: the old lock, the state, and the
//! entries that this run pins. Neither lock is held in memory.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::iter::Peekable;

use super::run::{Done, Job, run};
use super::{Options, read_lock};
use crate::atomic_file::ReplaceGuard;
use crate::dest::state::{FileRecord, Recorded, state_error};
use crate::digest::Digest;
use crate::event::{Event, Reporter, Summary, warn};
use crate::manifest::entry::{EntryIndex, Form};
use crate::manifest::{Manifest, PathHashes};
use crate::ops::error::RunError;
use crate::ops::shards::NEW_LOCK;
use crate::pin::lock::{
    Content, DigestFrom, Lock, LockLine, LockProblem, LockWriter, Standing, file_of,
};
use crate::pin::{Pin, Validators};
use crate::plan::Step;
use crate::rel_path::path_hash;
use crate::stop::Stop;

/// The number of entries with equal bytes from which a warning is due.
const SUSPICIOUS: u32 = 3;

/// The result of `lock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockReport {
    /// Entries that the lock pins.
    pub pinned: u64,
    /// New lines with a digest that a publisher states.
    pub published: u64,
    /// New lines with the digest of the first download.
    pub first_use: u64,
    /// New lines for files that upstream does not have.
    pub missing: u64,
    /// Lines that replace a different line.
    pub changed: u64,
    /// Lines dropped because the manifest no longer declares their path.
    pub dropped: u64,
    /// Entries that could not be pinned because the state has no record of them.
    pub lost: u64,
}

/// Pins the entries that are not pinned yet, and fetches what it needs for that. With `upgrade`,
/// pins all selected entries again. A failed entry keeps its old pin.
///
/// # Errors
/// As [`super::apply`], and when the lock cannot be written.
pub fn lock(
    manifest: &Manifest,
    options: &Options,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<(Summary, LockReport), RunError> {
    let job = Job { manifest, options, saved: None, stop, locks: true };
    let mut report = LockReport::default();
    let summary = run(job, reporter, |done, reporter| {
        let news = News::of(manifest, done, done.lock)?;
        // A run over some entries must not drop the lines of the others.
        let declared = options.selection.is_all().then_some(done.hashes);
        report = write(job, done, &news, declared, reporter)?;
        Ok(())
    })?;
    if stop.is_requested() {
        let left = read_lock(manifest).ok().flatten();
        report.pinned = left.map_or(0, |lock| lock.len() as u64);
    }
    Ok((summary, report))
}

/// After `apply`: pins the entries that the lock does not have yet.
pub(super) fn extend(
    job: Job<'_>,
    done: &Done<'_>,
    reporter: &mut dyn Reporter,
) -> Result<(), RunError> {
    let news = News::of(job.manifest, done, None)?;
    if news.lines.is_empty() {
        return Ok(());
    }
    let report = write(job, done, &news, None, reporter)?;
    let added = report.published + report.first_use + report.missing;
    if 0 < added {
        reporter.event(&Event::LockExtended { added });
    }
    Ok(())
}

/// The changes that a run makes to the lock.
struct News {
    /// Entries that get a new line, sorted by the hash of their path.
    lines: Vec<NewLine>,
    /// Lines that stay, edited.
    edited: HashMap<u128, LockLine>,
}

/// An entry that gets a new line.
#[derive(Clone, Copy)]
struct NewLine {
    hash: u128,
    entry: EntryIndex,
    /// None if upstream has no such file.
    from: Option<DigestFrom>,
}

impl News {
    /// Collects the changes from all entries that did not fail. Without `old`, no line is edited.
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

    /// The new line for a record, if its entry gets one.
    fn line(&self, recorded: &Recorded<'_>, manifest: &Manifest) -> io::Result<Option<LockLine>> {
        let path = recorded.path();
        let hash = path_hash(path);
        let Ok(place) = self.lines.binary_search_by_key(&hash, |line| line.hash) else {
            return Ok(None);
        };
        let NewLine { entry, from, .. } = self.lines[place];
        let Some(declared) = manifest.entries().get(entry) else { return Ok(None) };
        let content = match (*recorded, from) {
            (Recorded::Missing { .. }, None) => Content::Missing,
            (Recorded::File(row), Some(from)) => {
                let FileRecord { url, served, size, digests, validators, .. } = row.record()?;
                // Validators are worth nothing at another URL.
                let here = url.is(&declared.identity());
                let is_elsewhere = here && served.shown() != url.shown();
                Content::File {
                    served: is_elsewhere.then(|| served.shown().to_owned()),
                    size,
                    sha256: digests.sha256(),
                    from,
                    validators: if here { validators } else { Validators::default() },
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(LockLine { path: path.to_owned(), url: declared.url(Form::Shown), content }))
    }
}

/// Merges the changes into the lock as it is now. Lines that another run has changed since this one
/// read the lock stay. Without `declared`, no line is dropped. A shard writes the changed lines alone,
/// into a file of its own.
fn write(
    job: Job<'_>,
    done: &Done<'_>,
    news: &News,
    declared: Option<&PathHashes>,
    reporter: &mut dyn Reporter,
) -> Result<LockReport, RunError> {
    let Job { manifest, stop, .. } = job;
    let is_shard = done.dest.shard().is_some();
    let lock = file_of(manifest.file());
    let file = if is_shard { done.dest.control_path(NEW_LOCK) } else { lock.clone() };
    let unwritable =
        |source| RunError::Storage { doing: "write the lock", path: file.clone(), source };
    let guard = ReplaceGuard::acquire(&file, || !stop.is_requested()).map_err(unwritable)?;
    if guard.is_none() {
        return Ok(LockReport::default());
    }
    let read = done.lock;
    let is_current = match read {
        _ if is_shard => true,
        Some(lock) => lock.is_current(),
        None => !lock.exists(),
    };
    let changed = if is_current { None } else { read_lock(manifest)? };
    let now = if is_current { read } else { changed.as_ref() };
    let lines: OldLines<'_> = match now {
        Some(lock) => lock.lines()?,
        None => Box::new(std::iter::empty()),
    };
    let mut merge = Merge {
        manifest,
        writer: LockWriter::create(&file, manifest.name()).map_err(unwritable)?,
        old: lines.peekable(),
        is_changed: !is_current,
        writes_all: !is_shard,
        read,
        news,
        declared,
        report: LockReport::default(),
        taken: 0,
        overtaken: 0,
        same: HashMap::new(),
    };
    let mut failed = None;
    let read = done.state.in_order(|recorded| match merge.take(&recorded) {
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
        source: state_error(&error),
    })?;
    merge.keep_until(None).map_err(|error| error.into_run_error(unwritable))?;
    let Merge { writer, mut report, same, taken, overtaken, .. } = merge;
    report.lost = news.lines.len() as u64 - taken;
    // A new lock that pins nothing would only promise pins.
    if 0 < writer.lines() || now.is_some() && !is_shard {
        writer.finish().map_err(unwritable)?;
    }
    warn(reporter, suspicion(&same));
    let lost = format!(
        "{} files are not pinned: they changed meanwhile, or the state could not be written; run `natsync lock`",
        report.lost
    );
    warn(reporter, (report.lost != 0).then_some(lost));
    let overtaken = (overtaken != 0).then(|| {
        format!(
            "{overtaken} files were pinned to other content by another run meanwhile; these pins stay, and the next `natsync apply` brings the files to them"
        )
    });
    warn(reporter, overtaken);
    Ok(report)
}

type OldLines<'a> = Box<dyn Iterator<Item = Result<LockLine, LockProblem>> + 'a>;

struct Merge<'a> {
    manifest: &'a Manifest,
    writer: LockWriter,
    old: Peekable<OldLines<'a>>,
    /// Another run has changed the lock since this one read it.
    is_changed: bool,
    /// Whether the lines that stay as they are are written, too.
    writes_all: bool,
    /// The lock that this run read.
    read: Option<&'a Lock>,
    news: &'a News,
    declared: Option<&'a PathHashes>,
    report: LockReport,
    /// New lines written so far.
    taken: u64,
    /// New lines that another run's line for other content displaced.
    overtaken: u64,
    /// For each digest, the number of new lines with it, and the path of one of them.
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
    /// Merges the record of the next path.
    fn take(&mut self, recorded: &Recorded<'_>) -> Result<(), MergeError> {
        let Some(mut line) = self.news.line(recorded, self.manifest)? else {
            return Ok(());
        };
        self.taken += 1;
        self.keep_until(Some(&line.path))?;
        let before = self.next_old_if(|old| old.path == line.path)?;
        if let Some(before) = &before {
            if self.is_of_another_run(before)? {
                self.overtaken += u64::from(line.sha256() != before.sha256());
                return self.put(before, false);
            }
            line.settle_into(before);
        }
        let is_changed = before.as_ref() != Some(&line);
        if is_changed {
            self.account(&line, before.is_some());
        }
        self.put(&line, is_changed)
    }

    /// Writes a line of the new lock.
    fn put(&mut self, line: &LockLine, is_changed: bool) -> Result<(), MergeError> {
        self.report.pinned += 1;
        if is_changed || self.writes_all {
            self.writer.write(line)?;
        }
        Ok(())
    }

    /// Whether another run wrote the line after this one read the lock.
    fn is_of_another_run(&self, line: &LockLine) -> Result<bool, MergeError> {
        if !self.is_changed {
            return Ok(false);
        }
        let then = self.read.map(|lock| lock.find(&line.path)).transpose();
        let then = then.map_err(MergeError::Lock)?;
        Ok(then.flatten().as_ref() != Some(line))
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
        // Many empty files are normal.
        if *size != 0 {
            let (count, path) = self.same.entry(*sha256).or_default();
            *count += 1;
            if *count == SUSPICIOUS {
                path.clone_from(&line.path);
            }
        }
    }

    /// Writes the old lines before that path, or all remaining ones.
    fn keep_until(&mut self, path: Option<&str>) -> Result<(), MergeError> {
        while let Some(mut line) =
            self.next_old_if(|old| path.is_none_or(|path| old.path.as_str() < path))?
        {
            let hash = path_hash(&line.path);
            if self.declared.is_some_and(|declared| !declared.contains(hash)) {
                self.report.dropped += 1;
                continue;
            }
            let mut is_changed = false;
            if let Some(edited) = self.news.edited.get(&hash)
                && !self.is_of_another_run(&line)?
            {
                line.clone_from(edited);
                self.report.changed += 1;
                is_changed = true;
            }
            self.put(&line, is_changed)?;
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

/// The warning that many entries have the same bytes.
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
