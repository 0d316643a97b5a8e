//! Many exchanges become verified files.
//!
//! A *run* is a plan carried out, or the checksum lists fetched before one. It works on *jobs*, one
//! for each entry, made on demand:
//!
//! ```text
//! supply ─► dispatch ─► worker ─► errand: one attempt ─► settle ─► done
//!              ▲                     │                      │
//!              └────── again ────────┼──────────────────────┘
//!                                    └─► publisher ─► disk, state
//! ```
//!
//! - `dispatch` decides which job runs next. Each origin has a *lane*: its jobs, its connections,
//!   and whether it may be asked. A worker holds a *slot*, a place in a lane, while it uses a
//!   connection.
//! - `execute` has the threads. The workers of a thread share one event loop, so that a small file
//!   is requested, hashed and proven without a switch of threads.
//! - An `errand` says what the run is for: `fetch` (files), `probe` (what upstream has) or
//!   `fetch_list` (checksum lists). It makes one *attempt* at a job; `ask` sends its requests and
//!   follows redirects.
//! - `settle` draws the conclusion: repeat the attempt, try a mirror, or give the entry its
//!   outcome.
//! - `publish` is the one writer below the destination; `ledger` collects events and outcomes for
//!   the calling thread, which hands them to the reporter.
//!
//! Time comes from `http::Clock`, connections from `http::Network`, and random numbers from a seed
//! in [`Work`]; so a run can happen in virtual time, without sockets and on one thread
//! (`simulation`). Nothing here prints.

mod ask;
mod attempt;
mod breaker;
mod crowd;
mod dispatch;
mod errand;
mod execute;
mod fetch;
mod fetch_list;
mod job;
mod kept;
mod lane;
mod latency;
mod ledger;
mod limit;
mod login;
mod missing;
mod planned;
mod probe;
mod publish;
mod queue;
mod run;
mod settle;
mod shared;
#[cfg(test)]
mod simulation;
mod sink;
mod slot;
mod supply;
mod targets;
mod threads;
mod want;
mod way;

pub(crate) use fetch::{Disputed, Files};
pub(crate) use fetch_list::Lists;
pub(crate) use limit::FIRST;
pub(crate) use probe::{Probed, Questions};
pub(crate) use run::Work;

use crate::event::Reporter;
use crate::manifest::entry::EntryIndex;
use crate::pin::checksum_lists::Lost;
use execute::execute;
use fetch::Fetch;
use fetch_list::ListFetch;
use probe::Probe;
use run::Run;

/// What a run that got files left open.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Entries without an outcome: their bytes contradict their checksum lists.
    pub(crate) disputed: Vec<Disputed>,
    /// The run ended before everything was tried.
    pub(crate) halted: bool,
}

/// Gets the files of a plan. Each entry that is not merely kept gets its outcome, disputed ones
/// apart.
pub(crate) fn fetch(work: &Work<'_>, files: Files<'_>, reporter: &mut dyn Reporter) -> Fetched {
    let run = Run::new(work, planned::supply(work, files.plan), files.plan.bound());
    let fetch = Fetch::new(work, files);
    execute(&run, &fetch, reporter);
    fetch.skip_rest(&run, reporter);
    Fetched { disputed: fetch.into_disputed(), halted: run.halted.is_requested() }
}

/// Learns what upstream has of the entries of a plan. One that failed gets that outcome instead.
pub(crate) fn probe(
    work: &Work<'_>,
    questions: Questions<'_>,
    reporter: &mut dyn Reporter,
) -> Vec<(EntryIndex, Probed)> {
    let run = Run::new(work, planned::supply(work, questions.plan), questions.plan.bound());
    let probe = Probe::new(work, questions);
    execute(&run, &probe, reporter);
    probe.into_probed()
}

/// Gets checksum lists into the state. Returns those that cannot be had.
pub(crate) fn fetch_lists(work: &Work<'_>, lists: Lists<'_>, reporter: &mut dyn Reporter) -> Lost {
    let run = Run::new(work, ListFetch::supply(work, lists), work.manifest.entries().bound());
    let fetch = ListFetch::new(work, lists);
    execute(&run, &fetch, reporter);
    fetch.into_lost()
}
