//! The account of a run: its events, and which entries have their outcome. Each gets exactly one.

use std::collections::HashMap;
use std::time::Duration;

use crate::event::{Event, Outcome};
use crate::manifest::entry::EntryIndex;
use crate::threads::sync::{AtomicU64, Condvar, Mutex, Ordering};
use crate::threads::{lock, wait};

/// At most this many events wait for the reporter. If it does not keep up, the run waits for it.
const WAITING: usize = 1 << 16;

/// Events on their way to the reporter, and a bit for each entry that has its outcome.
#[derive(Debug)]
pub(super) struct Ledger {
    events: Mutex<Waiting>,
    taken: Condvar,
    finished: Vec<AtomicU64>,
    /// At most this many events wait.
    most: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    events: Vec<Event>,
    /// No reporter takes events any more.
    closed: bool,
    /// Body bytes received so far for each entry without an outcome.
    received: HashMap<EntryIndex, u64>,
}

impl Waiting {
    fn add(&mut self, mut event: Event) {
        match &mut event {
            Event::Received { entry, bytes } => {
                *self.received.entry(*entry).or_default() += *bytes;
            }
            Event::Finished { entry, received, .. } => {
                *received = self.received.remove(entry).unwrap_or_default();
            }
            _ => {}
        }
        self.events.push(event);
    }
}

impl Ledger {
    /// A ledger for entries below `bound`.
    pub(super) fn new(bound: u64) -> Self {
        Self::with_room(bound, WAITING)
    }

    /// A ledger in which at most that many events wait.
    pub(super) fn with_room(bound: u64, most: usize) -> Self {
        let words = usize::try_from(bound.div_ceil(64)).expect("the plan itself is larger");
        let finished = std::iter::repeat_with(AtomicU64::default).take(words).collect();
        Self { events: Mutex::default(), taken: Condvar::new(), finished, most }
    }

    /// Adds an event, unless the ledger is closed.
    pub(super) fn tell(&self, event: Event) {
        let mut waiting = lock(&self.events);
        while self.most <= waiting.events.len() && !waiting.closed {
            waiting = wait(&self.taken, waiting);
        }
        if !waiting.closed {
            waiting.add(event);
        }
    }

    /// Drops all further events, and releases threads that wait to add one.
    pub(super) fn close(&self) {
        lock(&self.events).closed = true;
        self.taken.notify_all();
    }

    /// Gives an entry its outcome. A second one is dropped, since the first was reported already.
    pub(super) fn finish(&self, entry: EntryIndex, outcome: Outcome, attempts: u32) {
        let (word, bit) = place(entry);
        let before = self.finished[word].fetch_or(bit, Ordering::AcqRel);
        debug_assert_eq!(before & bit, 0, "two outcomes for entry {entry:?}");
        if before & bit == 0 {
            self.tell(Event::Finished { entry, outcome, attempts, received: 0 });
        }
    }

    /// Body bytes received so far for an entry that has no outcome yet.
    pub(super) fn received(&self, entry: EntryIndex) -> u64 {
        lock(&self.events).received.get(&entry).copied().unwrap_or_default()
    }

    /// Whether an entry has its outcome.
    pub(super) fn is_finished(&self, entry: EntryIndex) -> bool {
        let (word, bit) = place(entry);
        self.finished[word].load(Ordering::Acquire) & bit != 0
    }

    /// The events since the last call, in order.
    pub(super) fn take(&self) -> Vec<Event> {
        let events = std::mem::take(&mut lock(&self.events).events);
        if self.most <= events.len() {
            self.taken.notify_all();
        }
        events
    }
}

/// How often events are handed to the reporter.
pub(super) const TICK: Duration = Duration::from_millis(40);

fn place(entry: EntryIndex) -> (usize, u64) {
    ((entry.0 / 64) as usize, 1 << (entry.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_an_event_waits_for_the_reporter_until_the_ledger_is_closed() {
        let ledger = Ledger::new(1);
        let event = || Event::Started { entry: EntryIndex(0) };
        for _ in 0..WAITING {
            ledger.tell(event());
        }
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ledger.tell(event()));
            assert_eq!(ledger.take().len(), WAITING);
            waiting.join().unwrap();
            assert_eq!(ledger.take().len(), 1);
        });
        for _ in 0..WAITING {
            ledger.tell(event());
        }
        std::thread::scope(|scope| {
            scope.spawn(|| ledger.tell(event()));
            ledger.close();
        });
        ledger.tell(event());
        assert_eq!(ledger.take().len(), WAITING, "a closed ledger takes no events");
    }
}
