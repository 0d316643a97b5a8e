//! What all attempts of a run share, whatever the run is for.

use std::collections::HashMap;
use std::sync::Mutex;

use super::dispatch::{Dispatch, Terms};
use super::job::Job;
use super::ledger::Ledger;
use super::supply::Supply;
use crate::dest::descriptors;
use crate::failure::Failure;
use crate::http::rewrite::Rewrites;
use crate::http::{Clock, Dial, Jar, Network, Pace, Target};
use crate::manifest::entry::{Entries, Entry, EntryIndex};
use crate::manifest::{Http, Manifest};
use crate::pin::lookup::Pins;
use crate::stop::Stop;
use crate::threads::lock;

/// What a run works with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'a> {
    pub(crate) manifest: &'a Manifest,
    /// What the entries must be.
    pub(crate) pins: &'a Pins<'a>,
    pub(crate) rewrites: &'a Rewrites,
    pub(crate) stop: &'a Stop,
    /// The transport settings of each source, with those of the command line.
    pub(crate) settings: &'a [Http],
    /// Transfers at a time, at all origins.
    pub(crate) connections: usize,
    /// Bytes per second, of all transfers together. The settings of a source have one only if it has
    /// a limit of its own besides.
    pub(crate) rate_limit: Option<u64>,
    /// The run is one shard of a job, whose limits on missing entries hold for all shards together.
    pub(crate) is_shard: bool,
    /// Whether the first failure ends the run.
    pub(crate) fail_fast: bool,
    pub(crate) network: &'a dyn Network,
    pub(crate) clock: Clock,
    /// Seeds the jitter of pauses.
    pub(crate) seed: u64,
}

/// A run in progress.
pub(super) struct Run<'w> {
    pub(super) work: Work<'w>,
    pub(super) entries: Entries<'w>,
    pub(super) dispatch: Dispatch<'w>,
    pub(super) ledger: Ledger,
    /// Transfers at a time, bounded by file descriptors.
    pub(super) connections: usize,
    /// Requested when the run must end early: the disk is full, an entry failed with `fail_fast`,
    /// or a thread panicked.
    pub(super) halted: Stop,
    /// One for each combination of settings that matter to connecting, and its number for each
    /// source.
    dialers: Vec<Box<dyn Dial>>,
    dialer_ids: Vec<usize>,
    /// The cookies of logins, for each source.
    pub(super) jars: Vec<Mutex<Jar>>,
    pace: Option<Pace>,
    source_paces: Vec<Option<Pace>>,
    chance: Mutex<fastrand::Rng>,
}

impl<'w> Run<'w> {
    /// A run with these jobs. Entry indices are below `bound`.
    pub(super) fn new(work: &Work<'w>, supply: Supply<'w>, bound: u64) -> Self {
        let work = *work;
        let entries = work.manifest.entries();
        let connections = work.connections.min(descriptors::transfers());
        let (dialers, dialer_ids) = dialers(work.settings, work.network);
        let settings = {
            let ids = dialer_ids.clone();
            Box::new(move |job: &Job| {
                let source = entries.source_of(job.entry);
                Terms { http: &work.settings[source], dialer: ids[source] }
            })
        };
        let source_paces = work.settings.iter().map(|http| http.rate_limit.map(Pace::new));
        Self {
            work,
            dispatch: Dispatch::new(supply, settings, connections, work.clock),
            ledger: Ledger::new(bound),
            connections,
            halted: Stop::default(),
            dialers,
            dialer_ids,
            jars: work.settings.iter().map(|_| Mutex::default()).collect(),
            pace: work.rate_limit.map(Pace::new),
            source_paces: source_paces.collect(),
            chance: Mutex::new(fastrand::Rng::with_seed(work.seed)),
            entries,
        }
    }

    pub(super) fn entry(&self, index: EntryIndex) -> Entry<'w> {
        self.entries.get(index).expect("a plan holds only entries that exist")
    }

    pub(super) fn settings(&self, job: &Job) -> &'w Http {
        &self.work.settings[self.entries.source_of(job.entry)]
    }

    pub(super) fn dialer(&self, job: &Job) -> &dyn Dial {
        &*self.dialers[self.dialer_ids[self.entries.source_of(job.entry)]]
    }

    /// The rate limits that hold for a source.
    pub(super) fn paces(&self, source: usize) -> Vec<&Pace> {
        self.pace.iter().chain(&self.source_paces[source]).collect()
    }

    pub(super) fn rewritten(&self, target: Target) -> Result<Target, Failure> {
        super::targets::rewritten(target, self.work.rewrites)
    }

    /// A random number in 0..1.
    pub(super) fn chance(&self) -> f64 {
        lock(&self.chance).f64()
    }
}

/// The dialers for these settings, and the number of each setting's own. Sources that connect in
/// the same way share one.
fn dialers(settings: &[Http], network: &dyn Network) -> (Vec<Box<dyn Dial>>, Vec<usize>) {
    let mut dialers = Vec::new();
    let mut known = HashMap::new();
    let ids = settings
        .iter()
        .map(|http| {
            let way = (&http.proxy, &http.ca_file, http.http2);
            *known.entry(way).or_insert_with(|| {
                dialers.push(network.dialer(http));
                dialers.len() - 1
            })
        })
        .collect();
    (dialers, ids)
}
