//! Puts verified files in place, in groups: synced, renamed, synced, then recorded in the state.
//!
//! One thread does it for the whole run, so that one call makes many files durable and the state
//! has one writer. Meanwhile, the next group gathers.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Ledger;
use super::queue::{Queue, Taker};
use crate::dest::state::{FileRecord, Note, Provenance, State};
use crate::dest::{Dest, Proven, PublishError, Verified};
use crate::event::{Delivery, Event, Outcome};
use crate::failure::{ErrorKind, Failure};
use crate::http::Clock;
use crate::manifest::entry::EntryIndex;
use crate::manifest::{KeptUrl, is_yaml};
use crate::pin::Validators;
use crate::rel_path::RelPath;
use crate::stop::{Stop, StopReason};

/// The size of a group that waits for no further files. Twice as many may wait: large files with
/// their bytes on disk, small ones in memory.
const GROUP: usize = 512;
/// A group of this size suggests that many more files are coming.
const BUSY: usize = 8;
/// How long a group gathers then.
const GATHERING: Duration = Duration::from_millis(10);
/// The most notes in one transaction.
const NOTES: usize = 8192;
/// The longest time that a note waits for others.
const NOTED: Duration = Duration::from_secs(1);

/// A verified file on its way to its final name.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) entry: EntryIndex,
    pub(super) path: RelPath,
    /// An existing file may be replaced.
    pub(super) replaces: bool,
    pub(super) attempts: u32,
    /// The declared URL.
    pub(super) url: KeptUrl,
    /// The URL that served it.
    pub(super) served: KeptUrl,
    pub(super) validators: Validators,
}

#[derive(Debug)]
pub(super) enum Message {
    /// Puts a file in place.
    Publish(Box<Parcel>, Proven),
    /// Records a fact about what is on disk already, and gives the entry its outcome.
    Note(Box<Note>, Option<(EntryIndex, Outcome, u32)>),
}

/// Takes what a run brings to the disk.
#[derive(Debug)]
pub(super) struct Publisher<'w> {
    messages: Queue<Message>,
    dest: &'w Dest,
    state: &'w State,
    clock: Clock,
}

impl<'w> Publisher<'w> {
    pub(super) fn new(dest: &'w Dest, state: &'w State, clock: Clock) -> Self {
        Self { messages: Queue::new(2 * GROUP), dest, state, clock }
    }

    /// Hands something to the publisher. Waits if the disk does not keep up.
    pub(super) fn put(&self, message: Message) {
        self.messages.put(message);
    }

    /// Declares that no more comes.
    pub(super) fn end(&self) {
        self.messages.end();
    }

    #[cfg(test)]
    pub(super) fn has_ended(&self) -> bool {
        self.messages.has_ended()
    }

    /// The part that works on the disk. `halted` is requested when the disk is full.
    pub(super) fn work<'a>(&'a self, ledger: &'a Ledger, halted: &'a Stop) -> Publishing<'a> {
        let Self { messages, dest, state, clock } = self;
        let (messages, written) = (messages.taker(), clock.now());
        let waiting = Vec::new();
        let clock = *clock;
        Publishing { messages, dest, state, clock, ledger, halted, waiting, written, failed: false }
    }
}

/// A publisher at work.
///
/// Notes wait for few large transactions. Those that are lost with the process cost the next run a
/// request for each of their files.
pub(super) struct Publishing<'a> {
    messages: Taker<'a, Message>,
    dest: &'a Dest,
    state: &'a State,
    clock: Clock,
    ledger: &'a Ledger,
    halted: &'a Stop,
    waiting: Vec<Note>,
    /// The time of the last transaction.
    written: Instant,
    failed: bool,
}

impl Publishing<'_> {
    /// Publishes until the end is declared.
    pub(super) fn run(mut self) {
        // A group costs about the same whatever its size, so a busy publisher waits for more.
        let mut enough = 1;
        while let Some(group) = self.messages.take(enough, GATHERING, self.patience()) {
            enough = if group.len() < BUSY { 1 } else { GROUP };
            self.add(group);
        }
        self.write();
    }

    /// How long the notes may still wait for others; none if there are none.
    fn patience(&self) -> Option<Duration> {
        let since = self.clock.now() - self.written;
        (!self.waiting.is_empty() && !self.failed).then(|| NOTED.saturating_sub(since))
    }

    /// Publishes what waits now.
    #[cfg(test)]
    pub(super) fn step(&mut self) {
        let group = self.messages.take_now();
        self.add(group);
        self.write();
    }

    fn add(&mut self, group: Vec<Message>) {
        let notes = self.publish_group(group);
        self.waiting.extend(notes);
        if NOTES <= self.waiting.len() || NOTED <= self.clock.now() - self.written {
            self.write();
        }
    }

    fn write(&mut self) {
        let notes = std::mem::take(&mut self.waiting);
        self.written = self.clock.now();
        if notes.is_empty() || self.failed {
            return;
        }
        // The renames must be durable before the state records them.
        if self.dest.sync().is_err() || self.state.note(&notes).is_err() {
            self.failed = true;
            let message =
                "the state cannot be written; the next run will ask about these files again";
            self.ledger.tell(Event::Warning { message: message.to_owned() });
        }
    }

    fn publish_group(&self, group: Vec<Message>) -> Vec<Note> {
        let mut notes = Vec::with_capacity(group.len());
        let mut files = Vec::with_capacity(group.len());
        for message in group {
            match message {
                Message::Note(note, finished) => {
                    notes.push(*note);
                    if let Some((entry, outcome, attempts)) = finished {
                        self.ledger.finish(entry, outcome, attempts);
                    }
                }
                Message::Publish(parcel, proven) => match self.dest.put_on_disk(proven) {
                    Ok(verified) => files.push((parcel, verified)),
                    Err(error) => self.fail(&parcel, Failure::disk("write the file", &error)),
                },
            }
        }
        if files.is_empty() {
            return notes;
        }
        self.announce(&mut files);
        // Data before names: after a power cut a name must not lead to bytes that never arrived.
        let synced = if self.dest.is_in_place() {
            self.dest.sync()
        } else {
            // Every further file would go to a directory that the manifest does not name.
            self.halted.request(StopReason::Halted);
            Err(std::io::Error::other("the destination was moved or deleted during the run"))
        };
        for (parcel, verified) in files {
            match &synced {
                Ok(()) => notes.extend(self.publish(*parcel, &verified)),
                Err(error) => self.fail(&parcel, Failure::disk("make the file durable", error)),
            }
        }
        notes
    }

    /// Announces the YAML files of a group. Their notes may be lost, and in a directory of manifests a
    /// downloaded file that is not known as such would be taken for a manifest.
    fn announce(&self, files: &mut Vec<(Box<Parcel>, Verified)>) {
        let is_yaml = |parcel: &Parcel| is_yaml(Path::new(parcel.path.as_str()));
        let paths: Vec<_> = files
            .iter()
            .filter(|(parcel, _)| is_yaml(parcel))
            .map(|(parcel, _)| parcel.path.as_str())
            .collect();
        if paths.is_empty() {
            return;
        }
        if let Err(error) = self.state.announce(&paths) {
            for (parcel, _) in files.extract_if(.., |(parcel, _)| is_yaml(parcel)) {
                self.fail(&parcel, Failure::disk("record the file", &error));
            }
        }
    }

    fn publish(&self, parcel: Parcel, verified: &Verified) -> Option<Note> {
        let stat = match self.dest.publish(verified, &parcel.path, parcel.replaces) {
            Ok(stat) => stat,
            Err(PublishError::Conflict(what)) => {
                let failure = Failure::new(ErrorKind::PathConflict, what).with_hint(
                    "natsync replaces only regular files that it knows of; move it away",
                );
                self.fail(&parcel, failure);
                return None;
            }
            Err(PublishError::Moved) => {
                let what = "its folder was moved while the file was put in place";
                self.fail(&parcel, Failure::new(ErrorKind::Io, what).with_hint("run it again"));
                return None;
            }
            Err(PublishError::Disk(error)) => {
                self.fail(&parcel, Failure::disk("put the file in place", &error));
                return None;
            }
        };
        let Parcel { entry, path, replaces, attempts, url, served, validators } = parcel;
        let delivery = Delivery { size: verified.length(), sha256: verified.digests().sha256() };
        let outcome =
            if replaces { Outcome::Updated(delivery) } else { Outcome::Downloaded(delivery) };
        self.ledger.finish(entry, outcome, attempts);
        let now = self.clock.timestamp();
        // A process that changed the file in this moment wins: the file on disk is not ours to
        // record.
        verified.is_still(&stat).then(|| {
            let record = Box::new(FileRecord {
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
            });
            Note::File { path: path.as_str().to_owned(), record }
        })
    }

    fn fail(&self, parcel: &Parcel, failure: Failure) {
        if failure.kind == ErrorKind::NoSpace {
            self.halted.request(StopReason::Halted);
        }
        self.ledger.finish(parcel.entry, Outcome::Failed(failure), parcel.attempts);
    }
}
