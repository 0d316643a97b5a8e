//! What a run that gets files has beside what all runs have.

use std::collections::HashSet;
use std::sync::Mutex;

use crate::dest::state::{Answered, Note, State};
use crate::dest::{Dest, Parts, Stat};
use crate::event::Outcome;
use crate::failure::Failure;
use crate::manifest::entry::EntryIndex;
use crate::plan::Plan;
use crate::rel_path::RelPath;
use crate::transfer::job::Job;
use crate::transfer::kept::Shelf;
use crate::transfer::missing::Missing;
use crate::transfer::planned;
use crate::transfer::publish::{Message, Publisher};
use crate::transfer::run::Work;

/// The files to get, and where they go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) dest: &'a Dest,
    pub(crate) state: &'a State,
    /// Incomplete files of earlier runs.
    pub(crate) parts: Option<&'a Parts>,
    /// Leave entries open whose checksum list contradicts the bytes: the list may be older than
    /// they are.
    pub(crate) disputing: bool,
}

/// An entry whose bytes contradict its checksum list.
#[derive(Clone, Debug)]
pub(crate) struct Disputed {
    pub(crate) entry: EntryIndex,
    pub(crate) failure: Failure,
    pub(crate) attempts: u32,
    /// Body bytes received for it.
    pub(crate) received: u64,
}

/// Gets files.
pub(in crate::transfer) struct Fetch<'w> {
    pub(super) files: Files<'w>,
    pub(super) tally: Missing,
    pub(super) publisher: Publisher<'w>,
    pub(super) shelf: Shelf,
    pub(super) disputed: Mutex<Vec<Disputed>>,
    /// Sources whose header fields contradict pins that their bytes meet.
    pub(super) doubted: Mutex<HashSet<usize>>,
}

impl<'w> Fetch<'w> {
    pub(in crate::transfer) fn new(work: &Work<'w>, files: Files<'w>) -> Self {
        Self {
            files,
            tally: planned::tally(work, files.plan),
            publisher: Publisher::new(files.dest, files.state, work.clock),
            shelf: Shelf::default(),
            disputed: Mutex::default(),
            doubted: Mutex::default(),
        }
    }

    /// The file at a path, if there is a regular one.
    pub(super) fn local(&self, path: &RelPath) -> Option<Stat> {
        self.files.dest.stat(path).ok().filter(Stat::is_file)
    }

    /// What the state has recorded about a path.
    pub(super) fn held(&self, path: &RelPath) -> Option<Answered> {
        self.files.state.answered(path.as_str())
    }

    /// Records a fact about the local file of a job, and gives the entry its outcome.
    pub(super) fn record(&self, job: &Job, note: Note, outcome: Outcome) {
        let finished = Some((job.entry, outcome, job.attempts()));
        self.publisher.put(Message::Note(Box::new(note), finished));
    }
}
