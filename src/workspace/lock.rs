//! `lock`: what upstream has is pinned, entry by entry.
//!
//! A new lock is made by merging three streams in the order of their paths: the lock that is there,
//! the state, and what this run learned. None of them is ever held in memory.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::iter::Peekable;

use super::apply::{Done, run};
use super::{Options, expand, read_lock};
use crate::digest::{Algorithm, Checksum, Digest};
use crate::entry::{Entry, Form};
use crate::error::RunError;
use crate::event::{Event, Reporter, Summary, warn};
use crate::lock::{Content, DigestFrom, Lock, LockLine, LockProblem, LockWriter, file_of};
use crate::manifest::{Manifest, PathHashes};
use crate::pins::Pins;
use crate::plan::Step;
use crate::rel_path::path_hash;
use crate::state::{Noted, State};
use crate::stop::Stop;

/// So many paths are named in a message.
const NAMED: usize = 3;
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
}

/// How a lock and its manifest differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Entries that the lock pins.
    pub pinned: u64,
    /// Entries that it does not pin.
    pub unpinned: Named,
    /// Entries that it pins to something else than the manifest states.
    pub differing: Named,
    /// Lines that the manifest does not declare.
    pub undeclared: Named,
}

/// A number of paths, of which the first ones are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// How many.
    pub count: u64,
    first: Vec<String>,
}

impl Named {
    fn add(&mut self, path: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(path.to_owned());
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Drift {
    /// Whether `lock` would change the lock.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.unpinned.count + self.differing.count + self.undeclared.count != 0
    }
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
    let old = read_lock(manifest)?;
    let upgrade = options.upgrade;
    let pins = if upgrade {
        Pins::new(manifest, None)
    } else {
        Pins::only_for_the_lock(manifest, old.as_ref())
    };
    let done = run(manifest, options, &pins, stop, reporter)?;
    let pinned = old.as_ref().map_or(0, |old| old.len() as u64);
    let mut report = LockReport { pinned, ..LockReport::default() };
    if !stop.is_requested() {
        let news = News::of(manifest, &done, old.as_ref(), |entry, line| {
            upgrade || line.is_none() || !entry.checksums().is_empty()
        })?;
        // A choice says nothing of the rest.
        let declared = options.selection.is_all().then_some(&done.hashes);
        report = write(manifest, old.as_ref(), &news, declared, &done.state, reporter)?;
    }
    done.state.close();
    Ok((done.summary, report))
}

/// After an apply: pins for entries that the lock does not have yet.
pub(super) fn extend(
    lock: &Lock,
    done: &Done,
    manifest: &Manifest,
    reporter: &mut dyn Reporter,
) -> Result<(), RunError> {
    let mut news = News::of(manifest, done, Some(lock), |_, line| line.is_none())?;
    news.moved.clear();
    if news.files.is_empty() && news.missing.is_empty() {
        return Ok(());
    }
    let report = write(manifest, Some(lock), &news, None, &done.state, reporter)?;
    let added = report.pinned.saturating_sub(lock.len() as u64);
    if 0 < added {
        reporter.event(&Event::LockExtended { added });
    }
    Ok(())
}

/// Compares a lock with its manifest. Asks nobody and changes nothing.
///
/// # Errors
/// When the manifest's entries collide or the lock is wrong.
pub fn lock_drift(
    manifest: &Manifest,
    options: &Options,
    reporter: &mut dyn Reporter,
) -> Result<Drift, RunError> {
    let declared = expand(manifest, options, reporter)?;
    let lock = read_lock(manifest)?;
    let mut drift = compare(manifest, options, lock.as_ref())?;
    if let Some(lock) = lock.as_ref().filter(|_| options.selection.is_all()) {
        for line in lock.lines()? {
            let line = line?;
            if !declared.contains(path_hash(&line.path)) {
                drift.undeclared.add(&line.path);
            }
        }
    }
    Ok(drift)
}

/// With `--locked` every chosen entry must be pinned, and to what the manifest states.
///
/// # Errors
/// When one is not.
pub(super) fn check_locked(
    manifest: &Manifest,
    options: &Options,
    lock: Option<&Lock>,
) -> Result<(), RunError> {
    if !options.locked {
        return Ok(());
    }
    let drift = compare(manifest, options, lock)?;
    let mut wrong = Vec::new();
    if lock.is_none() {
        wrong.push("there is no lock".to_owned());
    } else if 0 < drift.unpinned.count {
        wrong.push(format!("the lock does not pin {}", drift.unpinned));
    }
    if 0 < drift.differing.count {
        wrong.push(format!("the manifest states something else for {}", drift.differing));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let problem = LockProblem {
        file: file_of(manifest.file()),
        line: None,
        message: wrong.join("; "),
        hint: Some("run `natsync lock`, or leave `--locked` out"),
    };
    Err(problem.into())
}

fn compare(manifest: &Manifest, options: &Options, lock: Option<&Lock>) -> Result<Drift, RunError> {
    let mut drift = Drift::default();
    let mut path = String::new();
    for entry in manifest.entries().iter() {
        path.clear();
        entry.write_path(&mut path);
        if !options.selection.matches(entry.source(), &path) {
            continue;
        }
        let line = match lock {
            Some(lock) => lock.find(&path)?,
            None => None,
        };
        match line {
            None => drift.unpinned.add(&path),
            Some(line) => {
                drift.pinned += 1;
                if contradicts(&entry, &line) {
                    drift.differing.add(&path);
                }
            }
        }
    }
    Ok(drift)
}

/// Whether a line says something else than the manifest.
fn contradicts(entry: &Entry<'_>, line: &LockLine) -> bool {
    let stated = |algorithm| {
        entry.checksums().iter().find(|checksum| checksum.algorithm() == algorithm).copied()
    };
    let content = match &line.content {
        Content::Missing => !entry.checksums().is_empty(),
        Content::File { size, sha256, .. } => {
            entry.size().is_some_and(|stated| stated != *size)
                || stated(Algorithm::Sha256).is_some_and(|stated| stated != Checksum::from(*sha256))
        }
    };
    content || line.url != entry.url(Form::Shown)
}

/// What a run learned, by the hashes of paths.
struct News {
    /// Files to be pinned as the state has them.
    files: Vec<u128>,
    /// Entries to be pinned as missing.
    missing: Vec<u128>,
    /// Lines that stay, with another URL.
    moved: HashMap<u128, String>,
}

impl News {
    /// Of all entries that did not fail: those that `is_new` says are to be pinned.
    fn of(
        manifest: &Manifest,
        done: &Done,
        lock: Option<&Lock>,
        is_new: impl Fn(&Entry<'_>, Option<&LockLine>) -> bool,
    ) -> Result<Self, RunError> {
        let mut news = Self { files: Vec::new(), missing: Vec::new(), moved: HashMap::new() };
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
            let line = match lock {
                Some(lock) if lock.has(hash) => lock.find(&path)?,
                _ => None,
            };
            if !is_new(&entry, line.as_ref()) {
                if let Some(line) = line {
                    let url = entry.url(Form::Shown);
                    if url != line.url {
                        news.moved.insert(hash, url);
                    }
                }
            } else if done.absent.contains(&index) {
                news.missing.push(hash);
            } else {
                news.files.push(hash);
            }
        }
        news.files.sort_unstable();
        news.missing.sort_unstable();
        Ok(news)
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
        writer: LockWriter::create(&file, manifest.name()).map_err(unwritable)?,
        old: lines.peekable(),
        news,
        declared,
        report: LockReport::default(),
        same: HashMap::new(),
    };
    let mut failed = None;
    let read = state.in_order(|noted| match merge.take(&noted) {
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
    let Merge { writer, mut report, same, .. } = merge;
    report.pinned = writer.lines();
    writer.finish().map_err(unwritable)?;
    warn(reporter, suspicion(&same));
    Ok(report)
}

type OldLines<'a> = Box<dyn Iterator<Item = Result<LockLine, LockProblem>> + 'a>;

struct Merge<'a> {
    writer: LockWriter,
    old: Peekable<OldLines<'a>>,
    news: &'a News,
    declared: Option<&'a PathHashes>,
    report: LockReport,
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
    fn take(&mut self, noted: &Noted<'_>) -> Result<(), MergeError> {
        let path = noted.path();
        let hash = path_hash(path);
        let news = match noted {
            Noted::File { .. } => &self.news.files,
            Noted::Missing { .. } => &self.news.missing,
        };
        if news.binary_search(&hash).is_err() {
            return Ok(());
        }
        let line = line_of(noted);
        self.keep_until(Some(path))?;
        let before = self.next_old_if(|old| old.path == line.path)?;
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
            if let Some(url) = self.news.moved.get(&hash) {
                line.url.clone_from(url);
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

fn line_of(noted: &Noted<'_>) -> LockLine {
    match *noted {
        Noted::Missing { path, url } => {
            LockLine { path: path.to_owned(), url: url.to_owned(), content: Content::Missing }
        }
        Noted::File { path, url, served, size, sha256, published, etag, last_modified } => {
            let elsewhere = !served.is_empty() && served != url;
            LockLine {
                path: path.to_owned(),
                url: url.to_owned(),
                content: Content::File {
                    served: elsewhere.then(|| served.to_owned()),
                    size,
                    sha256,
                    from: if published { DigestFrom::Publisher } else { DigestFrom::FirstUse },
                    etag: etag.map(str::to_owned),
                    last_modified: last_modified.map(str::to_owned),
                },
            }
        }
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
