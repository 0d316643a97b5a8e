//! `explain`: one entry with all that is known of it, and what follows from that.

use jiff::Timestamp;

use super::report::{end_of_second, failures};
use super::{Options, read_lock};
use crate::dest::state::{Remembered, State};
use crate::dest::{Dest, Stat};
use crate::digest::{Algorithms, Buffer, Checksum, Digest, Digests};
use crate::event::Reporter;
use crate::manifest::Manifest;
use crate::manifest::entry::{EntryIndex, Form};
use crate::manifest::select::Selection;
use crate::ops::error::RunError;
use crate::ops::overview::Claimed;
use crate::pin::Pinned;
use crate::pin::checksum_lists::Lists;
use crate::pin::lock::{Content, DigestFrom, Lock};
use crate::pin::lookup::Pins;
use crate::plan::Step;
use crate::stop::Stop;

/// One entry with all that is known of it, and what follows from that.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The entry.
    pub entry: EntryIndex,
    /// What the lock says; none where there is no lock.
    pub locked: Option<Locked>,
    /// What its checksum list says; none where its source names none.
    pub listed: Option<Listed>,
    /// What it must be, when all of that is put together.
    pub pinned: Pinned,
    /// What is at its path.
    pub on_disk: OnDisk,
    /// What the state knows of it.
    pub noted: Noted,
    /// What is to be done with it.
    pub step: Step,
}

/// What the lock says of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// It has no line for it.
    Unpinned,
    /// Its line says that upstream has none.
    Missing,
    /// Its line.
    File {
        /// The URL that was declared when it was pinned.
        url: String,
        /// Bytes.
        size: u64,
        /// Its digest.
        sha256: Digest,
        /// Whether a publisher stated the digest; else it is that of the first bytes that came.
        published: bool,
    },
}

/// What a checksum list says of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// No run has fetched it yet.
    Unfetched,
    /// These digests.
    Checksums(Vec<Checksum>),
    /// Nothing.
    Unlisted,
    /// Several things.
    Ambiguous,
    /// It cannot be used.
    Unusable,
}

/// What is at the path of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum OnDisk {
    /// Nothing.
    Nothing,
    /// A file.
    File {
        /// Bytes.
        size: u64,
        /// When its content last changed.
        modified: Timestamp,
        /// Its digest, where it had to be read.
        sha256: Option<Digest>,
    },
    /// Something that is no regular file.
    Obstacle(&'static str),
}

/// What the state knows of an entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noted {
    /// The file that natsync wrote or confirmed there.
    pub file: Option<NotedFile>,
    /// When upstream last said that it has no such file at the declared URL.
    pub missing_since: Option<Timestamp>,
    /// How it failed, where that still stands.
    pub failed: Option<NotedFailure>,
}

/// How an entry failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedFailure {
    /// When that run began.
    pub run: Timestamp,
    /// The stable name of the kind.
    pub kind: String,
    /// What happened, with no secret in it.
    pub message: String,
}

/// A file that natsync wrote or confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct NotedFile {
    /// The URL that was declared then.
    pub url: String,
    /// The URL that served it.
    pub served: String,
    /// Bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
    /// Whether natsync put it there.
    pub written: bool,
    /// Whether these bytes came from upstream, rather than were taken for what it has.
    pub witnessed: bool,
    /// When upstream last served or confirmed it; none where it never did.
    pub checked: Option<Timestamp>,
    /// `ETag`, as it was sent.
    pub etag: Option<String>,
    /// `Last-Modified`, as it was sent.
    pub last_modified: Option<String>,
    /// Whether the file on disk looks as it did then.
    pub looks_the_same: bool,
}

/// Says all that is known of one entry, which is named by its path below the destination, by the path of its file, or
/// by its URL. Asks nobody and changes nothing.
///
/// # Errors
/// When the manifest declares no such entry, its entries collide, or the lock or the destination cannot be read.
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
    let plan = super::plan(manifest, &options, stop, reporter)?;

    let lock = read_lock(manifest)?;
    let dest = Dest::open(manifest.dest())?;
    let state = dest.as_ref().and_then(|dest| State::look(dest, manifest.name()).value);
    let lists = Lists::kept(state.as_ref().map(|state| state as _));
    let said = lists.of(manifest, &entry, path.as_str());
    let listed = entry.source().published.is_some().then(|| listed(said, lists.lacked_some()));
    let pins = Pins::new(manifest, lock.as_ref()).with_lists(lists);
    let pinned = pins.of(&entry, path.as_str())?;
    let stat = dest.as_ref().and_then(|dest| dest.stat(&path).ok());
    let remembered = state.as_ref().and_then(|state| state.remembered(path.as_str()));
    let missing = state.as_ref().and_then(|state| state.missing_since(path.as_str()));
    let noted = remembered.as_ref().map(|noted| noted.checked);
    let noted = noted.max(missing.as_ref().map(|(_, since)| *since)).map(end_of_second);
    let runs = state.as_ref().map(State::runs).unwrap_or_default();
    let failed = failures(manifest, &runs).claim(path.as_str(), noted);
    let url = entry.url(Form::Shown);
    let looks_the_same = |noted: &Remembered| {
        stat.as_ref().is_some_and(|stat| stat.stamp() == noted.stamp && !noted.racy)
    };
    let must_be_read = options.rehash || !remembered.as_ref().is_some_and(looks_the_same);
    let sha256 = dest.as_ref().filter(|_| must_be_read).and_then(|dest| {
        let file = dest.read(&path).ok()?;
        let go_on = || !stop.is_requested();
        let read = Digests::read(file, Algorithms::default(), &mut Buffer::default(), go_on);
        Some(read.ok()?.0.sha256())
    });
    Ok(Explanation {
        entry: index,
        locked: lock.as_ref().map(|lock| locked(lock, path.as_str())).transpose()?,
        listed,
        pinned,
        on_disk: stat.as_ref().map_or(OnDisk::Nothing, |stat| on_disk(stat, sha256)),
        noted: Noted {
            file: remembered.filter(|noted| noted.manifest == manifest.name()).map(|noted| {
                let looks_the_same = looks_the_same(&noted);
                noted_file(noted, looks_the_same)
            }),
            missing_since: missing.and_then(|(noted, since)| (noted == url).then_some(since)),
            failed: failed.and_then(noted_failure),
        },
        step: plan.step(index),
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

fn on_disk(stat: &Stat, sha256: Option<Digest>) -> OnDisk {
    if !stat.is_file() {
        return OnDisk::Obstacle(stat.describe());
    }
    let modified = Timestamp::from_nanosecond(i128::from(stat.modified));
    OnDisk::File { size: stat.size, modified: modified.unwrap_or(Timestamp::MIN), sha256 }
}

fn noted_file(noted: Remembered, looks_the_same: bool) -> NotedFile {
    NotedFile {
        url: noted.url,
        served: noted.served,
        size: noted.size,
        sha256: noted.sha256,
        written: noted.written,
        witnessed: noted.witnessed,
        checked: Some(noted.checked).filter(|checked| *checked != Timestamp::UNIX_EPOCH),
        etag: noted.etag,
        last_modified: noted.last_modified,
        looks_the_same,
    }
}

/// The entry that is meant.
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

/// So many entries are looked through for what may be meant, and so many of them named.
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
