//! Putting verified files in place, in groups: synced, renamed, synced, then noted in the state.
//!
//! One thread does it for the whole run, so that one call makes many files durable and the state has
//! one writer. While it works, the next group gathers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::ledger::Ledger;
use super::queue::{Queue, Taker};
use crate::dest::state::{FileRecord, Note, Provenance, State};
use crate::dest::{Dest, Proven, PublishError, Verified};
use crate::event::{Delivery, Event, Outcome};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::entry::EntryIndex;
use crate::pin::Validators;
use crate::rel_path::RelPath;

/// So many are a group that need not grow. Twice as many may wait: large files with their bytes on disk, small ones in
/// memory.
const GROUP: usize = 512;
/// From so many on, a group is a sign that many more are coming.
const BUSY: usize = 8;
/// So long a group may gather then.
const GATHERING: Duration = Duration::from_millis(10);
/// So many notes go into one transaction at most.
const NOTES: usize = 8192;
/// A note waits at most so long for others.
const NOTED: Duration = Duration::from_secs(1);

/// A verified file on its way to its place.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) entry: EntryIndex,
    pub(super) path: RelPath,
    /// Whether a file is there that is to be replaced.
    pub(super) replaces: bool,
    pub(super) attempts: u32,
    /// The declared URL, shown form.
    pub(super) url: String,
    /// The URL that served it, shown form.
    pub(super) served: String,
    pub(super) validators: Validators,
}

/// What is handed to the publisher.
#[derive(Debug)]
pub(super) enum Message {
    /// Put this in place.
    Publish(Box<Parcel>, Proven),
    /// Note this about what is on disk already, and give the entry its outcome.
    Note(Box<Note>, Option<(EntryIndex, Outcome, u32)>),
}

/// The way to the publisher, which [`run`] serves.
pub(super) fn queue() -> Queue<Message> {
    Queue::new(2 * GROUP)
}

/// Publishes until the end. `full` is set when the disk is full.
pub(super) fn run(
    messages: &Taker<'_, Message>,
    dest: &Dest,
    state: &State,
    ledger: &Ledger,
    full: &AtomicBool,
) {
    let mut notes = Notes::new(dest, state, ledger);
    // Where much is going on, more are waited for: a group costs about the same whatever its size.
    let mut enough = 1;
    while let Some(group) = messages.take(enough, GATHERING) {
        enough = if group.len() < BUSY { 1 } else { GROUP };
        notes.add(publish_group(group, dest, ledger, full));
    }
    notes.write();
}

/// Waits for the end where there is nothing to publish.
pub(super) fn wait(messages: &Taker<'_, Message>) {
    while messages.take(1, Duration::ZERO).is_some() {}
}

/// Notes on their way to the state, in few large transactions. Those that are lost with the process
/// cost the next run a question for each of their files.
struct Notes<'a> {
    dest: &'a Dest,
    state: &'a State,
    ledger: &'a Ledger,
    waiting: Vec<Note>,
    written: Instant,
    failed: bool,
}

impl<'a> Notes<'a> {
    fn new(dest: &'a Dest, state: &'a State, ledger: &'a Ledger) -> Self {
        Self { dest, state, ledger, waiting: Vec::new(), written: Instant::now(), failed: false }
    }

    fn add(&mut self, notes: Vec<Note>) {
        self.waiting.extend(notes);
        if NOTES <= self.waiting.len() || NOTED <= self.written.elapsed() {
            self.write();
        }
    }

    fn write(&mut self) {
        let notes = std::mem::take(&mut self.waiting);
        self.written = Instant::now();
        if notes.is_empty() || self.failed {
            return;
        }
        // The renames themselves must be on the disk before the state tells of them.
        if self.dest.sync().is_err() || self.state.note(&notes).is_err() {
            self.failed = true;
            let message =
                "the state cannot be written; the next run will ask about these files again";
            self.ledger.tell(Event::Warning { message: message.to_owned() });
        }
    }
}

fn publish_group(
    group: Vec<Message>,
    dest: &Dest,
    ledger: &Ledger,
    full: &AtomicBool,
) -> Vec<Note> {
    let mut notes = Vec::with_capacity(group.len());
    let mut files = Vec::with_capacity(group.len());
    for message in group {
        match message {
            Message::Note(note, finished) => {
                notes.push(*note);
                if let Some((entry, outcome, attempts)) = finished {
                    ledger.finish(entry, outcome, attempts);
                }
            }
            Message::Publish(parcel, proven) => match dest.put_on_disk(proven) {
                Ok(verified) => files.push((parcel, verified)),
                Err(error) => fail(&parcel, Failure::disk("write the file", &error), ledger, full),
            },
        }
    }
    if files.is_empty() {
        return notes;
    }
    // Data before names: after a power cut a name must not lead to bytes that never arrived.
    let synced = dest.sync();
    for (parcel, verified) in files {
        match &synced {
            Ok(()) => notes.extend(publish(*parcel, &verified, dest, ledger, full)),
            Err(error) => {
                fail(&parcel, Failure::disk("make the file durable", error), ledger, full);
            }
        }
    }
    notes
}

fn publish(
    parcel: Parcel,
    verified: &Verified,
    dest: &Dest,
    ledger: &Ledger,
    full: &AtomicBool,
) -> Option<Note> {
    let stat = match dest.publish(verified, &parcel.path, parcel.replaces) {
        Ok(stat) => stat,
        Err(PublishError::Conflict(what)) => {
            let failure = Failure::new(ErrorKind::PathConflict, what)
                .with_hint("natsync replaces only regular files that it knows of; move it away");
            fail(&parcel, failure, ledger, full);
            return None;
        }
        Err(PublishError::Disk(error)) => {
            fail(&parcel, Failure::disk("put the file in place", &error), ledger, full);
            return None;
        }
    };
    let Parcel { entry, path, replaces, attempts, url, served, validators } = parcel;
    let delivery = Delivery { bytes: verified.length(), sha256: verified.digests().sha256() };
    let outcome = if replaces { Outcome::Updated(delivery) } else { Outcome::Downloaded(delivery) };
    ledger.finish(entry, outcome, attempts);
    let now = Timestamp::now();
    // Somebody was quicker than we are: what is there now is not what we wrote.
    verified.is_still(&stat).then(|| {
        let record = FileRecord {
            url,
            served,
            size: stat.size,
            stamp: stat.stamp(),
            racy: stat.is_racy(now),
            digests: verified.digests().clone(),
            provenance: Provenance::Downloaded,
            checked: Some(now),
            changed: Some(now),
            validators,
        };
        Note::File { path: path.as_str().to_owned(), record: Box::new(record) }
    })
}

fn fail(parcel: &Parcel, failure: Failure, ledger: &Ledger, full: &AtomicBool) {
    if failure.kind == ErrorKind::NoSpace {
        full.store(true, Ordering::Release);
    }
    ledger.finish(parcel.entry, Outcome::Failed(failure), parcel.attempts);
}
