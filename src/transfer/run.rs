//! A run: its threads and workers, and what they share.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use super::dispatch::{Dispatch, Task, Terms};
use super::job::Job;
use super::ledger::{Ledger, TICK};
use super::missing::{Chosen, Missing};
use super::publish::Message;
use super::queue::Queue;
use super::resume::Places;
use super::supply::{Jobs, Supply};
use super::threads::{AtWork, Last, Leaving, Listening, Serving};
use crate::dest::descriptors;
use crate::dest::state::{FileRecord, State};
use crate::dest::{Dest, Parts, Stat};
use crate::event::{Event, Reporter};
use crate::failure::{ErrorKind, Failure};
use crate::http::rewrite::Rewrites;
use crate::http::{Dialer, Names, Pace, Target};
use crate::manifest::entry::{Entries, Entry, EntryIndex, Form};
use crate::manifest::{Http, Manifest};
use crate::pin::checksum_lists::Lost;
use crate::pin::lookup::Pins;
use crate::plan::{Action, Plan, Step};
use crate::rel_path::RelPath;
use crate::stop::{Stop, StopReason};

use super::probe::Probed;

/// What a plan is carried out with.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) plan: &'a Plan,
    /// Where files go. There may be none when probing.
    pub(crate) dest: Option<&'a Dest>,
    /// What is known of them. There may be none when probing.
    pub(crate) state: Option<&'a State>,
    /// What earlier runs left.
    pub(crate) parts: Option<&'a Parts>,
    /// What the entries must be.
    pub(crate) pins: &'a Pins<'a>,
    pub(crate) rewrites: &'a Rewrites,
    pub(crate) stop: &'a Stop,
    /// The transport settings of each source, with what the command line says.
    pub(crate) settings: &'a [Http],
    /// Transfers at a time, in all.
    pub(crate) connections: usize,
    /// Bytes a second in all.
    pub(crate) rate_limit: Option<u64>,
    /// Whether the first failure ends the run.
    pub(crate) fail_fast: bool,
    pub(crate) purpose: Purpose<'a>,
}

/// What entries are asked about for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    /// To get them. Where a checksum list and a file contradict each other, `disputing` says whether
    /// that is left open, since the list may be the older of the two.
    Transfer { disputing: bool },
    /// To know what upstream has, without getting it.
    Probe,
    /// To get the checksum lists that name these; `anew` past all caches.
    Lists { of: &'a [EntryIndex], anew: bool },
}

/// What was learned in a run, outcomes apart.
#[derive(Debug)]
pub(crate) struct Executed {
    /// Of each entry, when probing.
    pub(crate) probes: Vec<(EntryIndex, Probed)>,
    /// Checksum lists that cannot be had.
    pub(crate) lists: Lost,
    /// Entries whose bytes are not those of their list, and that have no outcome yet.
    pub(crate) disputed: Vec<Disputed>,
    /// Whether the run ended before everything was tried.
    pub(crate) halted: bool,
}

/// An entry whose bytes are not those of its list.
#[derive(Clone, Debug)]
pub(crate) struct Disputed {
    pub(crate) entry: EntryIndex,
    pub(crate) failure: Failure,
    pub(crate) attempts: u32,
}

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) work: Work<'a>,
    pub(super) entries: Entries<'a>,
    pub(super) dispatch: Dispatch<'a>,
    pub(super) ledger: Ledger,
    pub(super) missing: Missing,
    /// One for each way to connect, and which one each source has.
    pub(super) dialers: Vec<Dialer>,
    pub(super) dialer_ids: Vec<usize>,
    pub(super) pace: Option<Pace>,
    pub(super) source_paces: Vec<Option<Pace>>,
    pub(super) publisher: Queue<Message>,
    pub(super) probes: Mutex<Vec<(EntryIndex, Probed)>>,
    pub(super) lists: Mutex<Lost>,
    pub(super) disputed: Mutex<Vec<Disputed>>,
    pub(super) places: Places,
    /// Lists of which is known whether they can be had.
    pub(super) settled: AtomicU64,
    /// Set when the run ends early: the disk is full, or an entry failed and that is enough.
    pub(super) halted: Stop,
    pub(super) full: AtomicBool,
    pub(super) chance: AtomicU64,
}

/// Carries out a plan. `reporter` gets every event; each entry that is not merely kept gets its
/// outcome. Answers what was learned beside that.
pub(crate) fn execute(work: &Work<'_>, reporter: &mut dyn Reporter) -> Executed {
    let connections = work.connections.min(descriptors::transfers());
    let run = Run::new(work, connections);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(MOST_THREADS).min(connections).max(1);
    let working = AtomicUsize::new(threads);
    let at_work = AtWork::new(threads);
    let publishing = AtomicUsize::new(1);
    let caller = std::thread::current();
    std::thread::scope(|scope| {
        let (run, caller, working, publishing) = (&run, &caller, &working, &publishing);
        let _listening =
            Listening { ledger: &run.ledger, halted: &run.halted, publisher: &run.publisher };
        // Made before any thread starts, so that none is waited for that cannot.
        let serving: Vec<_> = (0..threads).map(|_| Serving(&at_work)).collect();
        for (thread, serving) in serving.into_iter().enumerate() {
            let share = connections / threads + usize::from(thread < connections % threads);
            scope.spawn(move || {
                let _leaving = Leaving { left: working, caller, halted: &run.halted };
                run.serve(share, serving);
            });
        }
        scope.spawn(move || {
            let _leaving = Leaving { left: publishing, caller, halted: &run.halted };
            let messages = run.publisher.taker();
            match (run.work.dest, run.work.state) {
                (Some(dest), Some(state)) => {
                    super::publish::run(&messages, dest, state, &run.ledger, &run.full);
                }
                _ => super::publish::wait(&messages),
            }
        });
        let mut settling = false;
        loop {
            let ended = publishing.load(Ordering::Acquire) == 0;
            for event in run.ledger.take() {
                reporter.event(&event);
            }
            reporter.tick();
            if ended {
                break;
            }
            if !settling && working.load(Ordering::Acquire) == 0 {
                settling = true;
                // Not on this thread: it must go on handing out events, or who tells them waits.
                scope.spawn(|| {
                    let _last = Last(&run.publisher);
                    run.settle_missing_rest();
                });
            }
            std::thread::park_timeout(TICK);
        }
    });
    run.skip_rest(reporter);
    Executed {
        probes: run.probes.into_inner().unwrap_or_else(PoisonError::into_inner),
        lists: run.lists.into_inner().unwrap_or_else(PoisonError::into_inner),
        disputed: run.disputed.into_inner().unwrap_or_else(PoisonError::into_inner),
        halted: run.halted.is_requested(),
    }
}

/// Two cores saturate most lines; more threads than this only contend.
const MOST_THREADS: usize = 8;

impl<'a> Run<'a> {
    fn new(work: &Work<'a>, connections: usize) -> Self {
        let work = *work;
        let entries = work.manifest.entries();
        let supply = supply(work);
        let (dialers, dialer_ids) = dialers(work.settings);
        let settings = {
            let entries = work.manifest.entries();
            let ids = dialer_ids.clone();
            Box::new(move |job: &Job| {
                let source = entries.source_of(job.entry);
                Terms { http: &work.settings[source], dialer: ids[source] }
            })
        };
        let mut chosen = vec![Chosen::default(); work.manifest.sources().len()];
        for (source, chosen) in chosen.iter_mut().enumerate() {
            let range = entries.source_range(source);
            let steps = work.plan.steps_from(EntryIndex(range.start));
            for (_, step) in steps.take_while(|(index, _)| index.0 < range.end) {
                chosen.entries += 1;
                let absent =
                    matches!(step, Step::Do(decision) if decision.action == Action::Absent);
                chosen.absent += u64::from(absent);
            }
        }
        // A run's own limit stands for those of its sources where they say nothing else.
        let general = work.manifest.http().rate_limit;
        let source_paces = work
            .settings
            .iter()
            .map(|http| http.rate_limit.filter(|_| http.rate_limit != general).map(Pace::new));
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        Self {
            work,
            dispatch: Dispatch::new(supply, settings, connections),
            ledger: Ledger::new(work.plan.bound()),
            missing: Missing::new(work.manifest, &chosen),
            dialers,
            dialer_ids,
            pace: work.rate_limit.or(general).map(Pace::new),
            source_paces: source_paces.collect(),
            publisher: super::publish::queue(),
            probes: Mutex::default(),
            lists: Mutex::default(),
            disputed: Mutex::default(),
            places: Places::default(),
            settled: AtomicU64::new(0),
            halted: Stop::default(),
            full: AtomicBool::new(false),
            chance: AtomicU64::new(seed),
            entries,
        }
    }

    /// Has so many transfers under way on this thread until there is nothing left to do.
    fn serve(&self, share: usize, serving: Serving<'_>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let message = format!("a thread for transfers cannot start: {error}");
                return self.ledger.tell(Event::Warning { message });
            }
        };
        runtime.block_on(async {
            // Twice as many workers: while one puts a file away, another one asks for the next.
            let share = Semaphore::new(share);
            let workers = 2 * share.available_permits();
            let mut running: FuturesUnordered<_> =
                (0..workers).map(|_| self.worker(&share)).collect();
            while running.next().await.is_some() {}
            let at_work = serving.0;
            drop(serving);
            at_work.ended().await;
        });
        // A name being resolved cannot be called off, and need not be waited for.
        runtime.shutdown_background();
    }

    async fn worker(&self, share: &Semaphore) {
        loop {
            let next = async {
                let share = match share.try_acquire() {
                    Ok(share) => share,
                    Err(_) => {
                        // What just became possible is for those who hold a share and wait for work.
                        self.dispatch.wake();
                        share.acquire().await.ok()?
                    }
                };
                Some((self.dispatch.next(self.work.stop).await?, share))
            };
            let next = tokio::select! {
                biased;
                () = self.halted.requested() => return,
                next = next => next,
            };
            let Some((task, share)) = next else { return };
            match task {
                Task::Unusable(entry, failure) => self.fail(entry, failure, 0),
                Task::Unreachable(job, failure) => self.elsewhere(job, failure),
                Task::Ask(mut job, mut slot) => {
                    slot.share = Some(share);
                    let attempt = async {
                        match self.work.purpose {
                            Purpose::Transfer { .. } => {
                                super::transfer::attempt(self, &mut job, slot).await
                            }
                            Purpose::Probe => super::probe::probe(self, &mut job, slot).await,
                            Purpose::Lists { .. } => {
                                super::fetch_list::fetch(self, &mut job, slot).await
                            }
                        }
                    };
                    let attempt = tokio::select! {
                        biased;
                        () = self.work.stop.requested() => None,
                        attempt = attempt => Some(attempt),
                    };
                    match attempt {
                        Some(attempt) => self.settle(job, attempt),
                        None => {
                            let failure = Failure::new(ErrorKind::Interrupted, "interrupted");
                            self.fail(job.entry, failure, job.attempts);
                        }
                    }
                }
            }
            if self.full.load(Ordering::Acquire) {
                self.halted.request(StopReason::Halted);
            }
        }
    }

    pub(super) fn entry(&self, index: EntryIndex) -> Entry<'a> {
        self.work.manifest.entries().get(index).expect("the plan has only entries that exist")
    }

    pub(super) fn settings(&self, job: &Job) -> &'a Http {
        &self.work.settings[self.entries.source_of(job.entry)]
    }

    pub(super) fn dialer(&self, job: &Job) -> &Dialer {
        &self.dialers[self.dialer_ids[self.entries.source_of(job.entry)]]
    }

    pub(super) fn paces(&self, source: usize) -> Vec<&Pace> {
        self.pace.iter().chain(&self.source_paces[source]).collect()
    }

    /// What is on disk at a path, if that is a file.
    pub(super) fn local(&self, path: &RelPath) -> Option<Stat> {
        self.work.dest?.stat(path).ok().filter(Stat::is_file)
    }

    /// What the state knows of a path.
    pub(super) fn held(&self, path: &RelPath) -> Option<FileRecord> {
        self.work.state?.record(path.as_str())
    }

    pub(super) fn dest(&self) -> &'a Dest {
        self.work.dest.expect("only probing does without a destination")
    }

    pub(super) fn publish(&self, message: Message) {
        self.publisher.put(message);
    }

    pub(super) fn probed(&self, entry: EntryIndex, probed: Probed) {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner).push((entry, probed));
    }

    pub(super) fn rewritten(&self, target: Target) -> Result<Target, Failure> {
        match self.work.rewrites.apply(target.as_str()) {
            Cow::Borrowed(_) => Ok(target),
            Cow::Owned(url) => Target::parse(&url),
        }
    }

    /// A number in 0..1, another one each time.
    pub(super) fn chance(&self) -> f64 {
        // SplitMix64: one step of a counter, mixed.
        let step = self.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (step ^ (step >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[expect(clippy::cast_precision_loss, reason = "53 bits are all that a fraction has")]
        let fraction = (mixed >> 11) as f64 / (1u64 << 53) as f64;
        fraction
    }
}

/// The dialers of these settings, and the number of each one's: who goes the same way shares one.
fn dialers(settings: &[Http]) -> (Vec<Dialer>, Vec<usize>) {
    let names = Arc::new(Names::default());
    let mut dialers = Vec::new();
    let mut known = HashMap::new();
    let ids = settings
        .iter()
        .map(|http| {
            let way = (&http.proxy, &http.ca_file, http.http2);
            *known.entry(way).or_insert_with(|| {
                dialers.push(Dialer::new(http, Arc::clone(&names)));
                dialers.len() - 1
            })
        })
        .collect();
    (dialers, ids)
}

/// The jobs of a run, in order.
fn supply(work: Work<'_>) -> Supply<'_> {
    let entries = work.manifest.entries();
    if let Purpose::Lists { of, anew } = work.purpose {
        let lists = of.iter().filter_map(move |&index| {
            let entry = entries.get(index)?;
            let url = entry.list_url(Form::Sent)?;
            let shown = || entry.list_url(Form::Shown).unwrap_or_default();
            let target = target_for(&url, shown, work.rewrites);
            let job = target.map(|target| Job { anew, ..new_job(&entry, target) });
            Some(job.map_err(|failure| (index, failure)))
        });
        return Supply::new([Box::new(lists) as Jobs<'_>]);
    }
    let jobs_of = |source: usize| {
        let range = entries.source_range(source);
        let steps = work.plan.steps_from(EntryIndex(range.start));
        let asks = |(index, step)| {
            let asks = matches!(step, Step::Do(decision) if decision.action.asks_upstream());
            asks.then_some(index)
        };
        let own = steps.take_while(move |(index, _)| index.0 < range.end).filter_map(asks);
        let jobs = own.filter_map(move |index| {
            let entry = entries.get(index)?;
            let target = target_of(&entry, 0, 0, work.rewrites);
            let job = target.map(|target| new_job(&entry, target));
            Some(job.map_err(|failure| (index, failure)))
        });
        Box::new(jobs) as Jobs<'_>
    };
    Supply::new((0..work.manifest.sources().len()).map(jobs_of))
}

fn new_job(entry: &Entry<'_>, target: Target) -> Job {
    Job {
        entry: entry.index(),
        name: 0,
        place: 0,
        tries: 0,
        attempts: 0,
        outdated: false,
        mismatched: false,
        anew: false,
        kept: None,
        reached: 0,
        whole: false,
        target,
        failure: None,
        on_the_way: None,
    }
}

pub(super) fn target_of(
    entry: &Entry<'_>,
    name: usize,
    place: usize,
    rewrites: &Rewrites,
) -> Result<Target, Failure> {
    let shown = || entry.candidate(name, place, Form::Shown);
    target_for(&entry.candidate(name, place, Form::Sent), shown, rewrites)
}

/// What is asked for at a URL, or where a rewrite leads. What is printed of it comes from `shown`.
fn target_for(
    sent: &str,
    shown: impl FnOnce() -> String,
    rewrites: &Rewrites,
) -> Result<Target, Failure> {
    match rewrites.apply(sent) {
        Cow::Borrowed(sent) => Target::parse_shown(sent, &shown()),
        Cow::Owned(rewritten) => Target::parse(&rewritten),
    }
}
