//! The events that a ledger looks at.

use crate::manifest::entry::EntryIndex;

#[derive(Debug)]
pub(crate) enum Event {
    Received { entry: EntryIndex, bytes: u64 },
    Started { entry: EntryIndex },
    Finished { entry: EntryIndex, outcome: Outcome, attempts: u32, received: u64 },
}

#[derive(Debug)]
pub(crate) struct Outcome;
