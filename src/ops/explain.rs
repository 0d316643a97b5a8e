//! `explain`: one entry, all evidence about it, and the decision that follows.

use jiff::Timestamp;

use super::failures::{end_of_second, failures};
use super::{Looked, Options, lacked_lists, look};
use crate::dest::Stat;
use crate::dest::state::{FileRecord, State};
use crate::digest::{Algorithms, Buffer, Checksum, Digest, Digests};
use crate::event::{Reporter, warn};
use crate::manifest::Manifest;
use crate::manifest::entry::{EntryIndex, Form};
use crate::manifest::select::Selection;
use crate::ops::decide_all::{Evidence, decide_one, scan};
use crate::ops::error::RunError;
use crate::ops::failures::Claimed;
use crate::ops::scope::Scope;
use crate::pin::Pinned;
use crate::pin::checksum_lists::Lists;
use crate::pin::lock::{Content, DigestFrom, Lock};
use crate::plan::{OnDisk, Step};
use crate::stop::Stop;

/// One entry, all evidence about it, and the decision that follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The entry.
    pub entry: EntryIndex,
    /// The line of the lock; none if there is no lock.
    pub locked: Option<Locked>,
    /// What its checksum list says; none if its source has none.
    pub listed: Option<Listed>,
    /// The pin that follows from manifest, lock and lists.
    pub pinned: Pinned,
    /// The file at its path compared with the record: the evidence of the decision. The file was
    /// read, unless its stat proves that it has the recorded bytes.
    pub on_disk: OnDisk,
    /// The mtime of the file; none if no regular file is at the path.
    pub modified: Option<Timestamp>,
    /// What the state records of it.
    pub noted: Noted,
    /// The planned step.
    pub step: Step,
}

/// What the lock says about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// The lock has no line for it.
    Unpinned,
    /// The line says that upstream has no such file.
    Missing,
    /// The line of a file.
    File {
        /// The declared URL at the time of pinning.
        url: String,
        /// Bytes.
        size: u64,
        /// The pinned digest.
        sha256: Digest,
        /// True if a publisher states the digest; false if it is that of the first download.
        published: bool,
    },
}

/// What a checksum list says about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// No run has fetched it yet.
    Unfetched,
    /// The list has these digests.
    Checksums(Vec<Checksum>),
    /// The list does not name it.
    Unlisted,
    /// The list names it with different digests.
    Ambiguous,
    /// The list cannot be used.
    Unusable,
}

/// What the state records of an entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noted {
    /// The record of the file, if this manifest made it.
    pub file: Option<FileRecord>,
    /// When upstream last answered that it has no file at the declared URL.
    pub missing_since: Option<Timestamp>,
    /// The failure of the last runs, if it is unresolved.
    pub failed: Option<NotedFailure>,
}

/// A failure of an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedFailure {
    /// The start of that run.
    pub run: Timestamp,
    /// The stable name of the error kind.
    pub kind: String,
    /// The message; it holds no secret.
    pub message: String,
}

/// Collects the evidence about one entry. `name` is its path below the destination, the path of its
/// file, or its URL. Makes no request and changes nothing.
///
/// # Errors
/// When the manifest declares no such entry, entries collide, or the lock or the destination cannot
/// be read.
pub fn explain(
    manifest: &Manifest,
    options: &Options,
    name: &str,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Explanation, RunError> {
    let index = find(manifest, name)?;
    let Some(entry) = manifest.entries().get(index) else { return Err(unknown(manifest, name)) };
    let path = entry.path();
    let selection = Selection::all().among([path.as_str()]);
    let options = Options { selection, ..options.clone() };
    let looked = look(manifest, &options, reporter)?;
    let pins = looked.pins(manifest);
    let Looked { hashes, lock, dest, state } = &looked;
    let listed = entry.source().published.is_some().then(|| {
        let lists = Lists::kept(state.as_ref().map(|state| state as _));
        let said = lists.of(manifest, &entry, path.as_str());
        listed(said, lists.lacked_some())
    });
    let scope = Scope { manifest, options: &options, pins: &pins, dest: dest.as_ref(), stop };
    let scan = scan(scope, state.as_ref(), hashes, reporter);
    let Evidence { pinned, mut disk, step } = decide_one(scope, &scan.inventory, &entry)?;
    warn(reporter, lacked_lists(&pins));
    if scan.damaged {
        warn(reporter, Some(super::DAMAGED.to_owned()));
    }
    let stat = dest.as_ref().and_then(|dest| dest.stat(&path).ok()).filter(Stat::is_file);
    let is_proven = disk.record.as_ref().is_some_and(|record| record.stat.is_proof());
    if disk.digests.is_none() && stat.is_some() && (options.rehash || !is_proven) {
        disk.digests = dest.as_ref().and_then(|dest| {
            let file = dest.read(&path).ok()?;
            let go_on = || !stop.is_requested();
            let read = Digests::read(file, Algorithms::default(), &mut Buffer::default(), go_on);
            Some(read.ok()?.0)
        });
    }
    let record = state.as_ref().and_then(|state| state.record(path.as_str()));
    let missing = state.as_ref().and_then(|state| state.missing_since(path.as_str()));
    let checked = disk.record.as_ref().and_then(|record| record.checked);
    let noted = checked.max(missing.as_ref().map(|(_, since)| *since)).map(end_of_second);
    let runs = state.as_ref().map(State::runs).unwrap_or_default();
    let failed = failures(manifest, &runs).claim(path.as_str(), noted);
    Ok(Explanation {
        entry: index,
        locked: lock.as_ref().map(|lock| locked(lock, path.as_str())).transpose()?,
        listed,
        pinned,
        on_disk: disk,
        modified: stat.and_then(|stat| Timestamp::from_nanosecond(i128::from(stat.modified)).ok()),
        noted: Noted {
            file: record,
            missing_since: missing
                .and_then(|(noted, since)| noted.is(&entry.identity()).then_some(since)),
            failed: failed.and_then(noted_failure),
        },
        step,
    })
}

fn noted_failure(claimed: Claimed) -> Option<NotedFailure> {
    let Claimed { run, kind, message } = claimed;
    Some(NotedFailure { run: Timestamp::from_millisecond(run).ok()?, kind, message })
}

fn locked(lock: &Lock, path: &str) -> Result<Locked, RunError> {
    let line = lock.find(path)?;
    Ok(match line.map(|line| (line.content, line.url)) {
        None => Locked::Unpinned,
        Some((Content::Missing, _)) => Locked::Missing,
        Some((Content::File { size, sha256, from, .. }, url)) => {
            Locked::File { url, size, sha256, published: from == DigestFrom::Publisher }
        }
    })
}

fn listed(said: Option<Pinned>, is_unknown: bool) -> Listed {
    match said {
        Some(Pinned::To(pin)) => Listed::Checksums(pin.checksums),
        Some(Pinned::Ambiguous) => Listed::Ambiguous,
        Some(Pinned::NoList) => Listed::Unusable,
        None if is_unknown => Listed::Unfetched,
        _ => Listed::Unlisted,
    }
}

/// The entry with that name.
fn find(manifest: &Manifest, name: &str) -> Result<EntryIndex, RunError> {
    let below = std::path::Path::new(name).strip_prefix(manifest.dest()).ok();
    let below = below.and_then(|below| below.to_str());
    let is_url = name.contains("://");
    let mut text = String::new();
    let found = manifest.entries().iter().find(|entry| {
        text.clear();
        if is_url {
            entry.write_url(Form::Shown, &mut text);
            return text == name;
        }
        entry.write_path(&mut text);
        text == name || below == Some(&*text)
    });
    found.map(|entry| entry.index()).ok_or_else(|| unknown(manifest, name))
}

/// The most entries that are searched for similar names, and the most names in a hint.
const LOOKED_AT: usize = 100_000;
const NAMED: usize = 3;

fn unknown(manifest: &Manifest, name: &str) -> RunError {
    let last = name.rsplit('/').next().unwrap_or(name);
    let mut text = String::new();
    let mut near = Vec::new();
    for entry in manifest.entries().iter().take(LOOKED_AT) {
        text.clear();
        entry.write_path(&mut text);
        let own = text.rsplit('/').next().unwrap_or(&text);
        if !last.is_empty() && (own.contains(last) || last.contains(own)) {
            near.push(format!("`{text}`"));
        }
        if near.len() == NAMED {
            break;
        }
    }
    let hint = if near.is_empty() {
        "`natsync list` names all entries".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    let message = format!("`{}` declares no entry `{name}`", manifest.name());
    RunError::Usage { message, hint: Some(hint) }
}
