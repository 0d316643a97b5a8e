//! Carries a run out: its threads and workers.
//!
//! Each thread has an event loop, and workers that share it. A worker takes a job, makes an
//! attempt, and takes the next job. The calling thread hands the events to the reporter, and one
//! more thread publishes. [`alone`] does all of it on one thread, for tests.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use super::dispatch::Task;
use super::errand::Errand;
use super::ledger::TICK;
use super::run::Run;
use super::threads::{AtWork, Last, Leaving, Listening, Serving};
use crate::event::{Event, Reporter};
use crate::failure::{ErrorKind, Failure};

/// More threads than this only contend for locks; two saturate most networks.
const MOST_THREADS: usize = 8;

/// Carries a run out. `reporter` gets its events, in order.
pub(super) fn execute(run: &Run<'_>, errand: &impl Errand, reporter: &mut dyn Reporter) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(MOST_THREADS).min(run.connections).max(1);
    let publisher = errand.publisher();
    let working = AtomicUsize::new(threads);
    let publishing = AtomicUsize::new(usize::from(publisher.is_some()));
    let concluding = AtomicUsize::new(1);
    let at_work = AtWork::new(threads);
    let caller = std::thread::current();
    std::thread::scope(|scope| {
        let caller = &caller;
        let (working, concluding, publishing) = (&working, &concluding, &publishing);
        let _listening = Listening { ledger: &run.ledger, halted: &run.halted, publisher };
        // Made before any thread starts: a thread that cannot start must not be waited for.
        let serving: Vec<_> = (0..threads).map(|_| Serving(&at_work)).collect();
        for (thread, serving) in serving.into_iter().enumerate() {
            let share = run.connections / threads + usize::from(thread < run.connections % threads);
            scope.spawn(move || {
                let _leaving = Leaving { left: working, caller, halted: &run.halted };
                serve(run, errand, share, serving);
            });
        }
        if let Some(publisher) = publisher {
            scope.spawn(move || {
                let _leaving = Leaving { left: publishing, caller, halted: &run.halted };
                publisher.work(&run.ledger, &run.halted).run();
            });
        }
        let mut settling = false;
        loop {
            let ended =
                [concluding, publishing].iter().all(|left| left.load(Ordering::Acquire) == 0);
            for event in run.ledger.take() {
                reporter.event(&event);
            }
            reporter.tick();
            if ended {
                break;
            }
            if !settling && working.load(Ordering::Acquire) == 0 {
                settling = true;
                // Not on this thread: it may wait for room in the ledger, which this thread makes.
                scope.spawn(move || {
                    let _leaving = Leaving { left: concluding, caller, halted: &run.halted };
                    let _last = Last(publisher);
                    errand.conclude(run);
                });
            }
            std::thread::park_timeout(TICK);
        }
    });
}

/// How often files are published and events are handed on where one thread does everything.
#[cfg(test)]
pub(super) const STEP: std::time::Duration = std::time::Duration::from_millis(250);

/// Carries a run out on this thread, whose event loop may have a paused clock.
#[cfg(test)]
pub(super) async fn alone(run: &Run<'_>, errand: &impl Errand, reporter: &mut dyn Reporter) {
    let share = Semaphore::new(run.connections);
    let mut publishing =
        errand.publisher().map(|publisher| publisher.work(&run.ledger, &run.halted));
    let mut step = || {
        if let Some(publishing) = &mut publishing {
            publishing.step();
        }
        for event in run.ledger.take() {
            reporter.event(&event);
        }
    };
    let workers = work(run, errand, &share);
    tokio::pin!(workers);
    loop {
        tokio::select! {
            biased;
            () = &mut workers => break,
            () = tokio::time::sleep(STEP) => step(),
        }
    }
    step();
    errand.conclude(run);
    step();
}

/// Runs an event loop with up to `share` transfers at a time until no job is left.
fn serve(run: &Run<'_>, errand: &impl Errand, share: usize, serving: Serving<'_>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let message = format!("a thread for transfers cannot start: {error}");
            return run.ledger.tell(Event::Warning { message });
        }
    };
    runtime.block_on(async {
        work(run, errand, &Semaphore::new(share)).await;
        let at_work = serving.0;
        drop(serving);
        at_work.ended().await;
    });
    // A blocking name lookup cannot be cancelled and need not be waited for.
    runtime.shutdown_background();
}

/// Runs the workers of a thread. There are twice as many as transfers: while one puts a file away,
/// another one requests the next.
async fn work(run: &Run<'_>, errand: &impl Errand, share: &Semaphore) {
    let workers = 2 * share.available_permits();
    let mut running: FuturesUnordered<_> =
        (0..workers).map(|_| worker(run, errand, share)).collect();
    while running.next().await.is_some() {}
}

async fn worker(run: &Run<'_>, errand: &impl Errand, share: &Semaphore) {
    loop {
        let next = async {
            let share = match share.try_acquire() {
                Ok(share) => share,
                Err(_) => {
                    // This worker takes no job now, so another one, which waits for a job, has to.
                    run.dispatch.wake();
                    share.acquire().await.ok()?
                }
            };
            Some((run.dispatch.next(run.work.stop).await?, share))
        };
        let next = tokio::select! {
            biased;
            () = run.halted.requested() => return,
            next = next => next,
        };
        let Some((task, share)) = next else { return };
        match task {
            Task::Unusable(entry, failure) => {
                errand.give_up(run, entry, failure, 0);
                run.dispatch.finish();
            }
            Task::Unreachable(job, failure) => run.lost(errand, job, failure),
            Task::Ask(mut job, mut slot) => {
                slot.share = Some(share);
                let ended = tokio::select! {
                    biased;
                    () = run.work.stop.requested() => None,
                    ended = errand.attempt(run, &mut job, slot) => Some(ended),
                };
                match ended {
                    Some(ended) => run.settle(errand, job, ended),
                    None => {
                        let failure = Failure::new(ErrorKind::Interrupted, "interrupted");
                        errand.give_up(run, job.entry, failure, job.attempts());
                        run.dispatch.finish();
                    }
                }
            }
        }
    }
}
