//! The end of the threads of a run: together, also if one of them panics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Thread, panicking};

use tokio::sync::Notify;

use super::ledger::Ledger;
use super::publish::Publisher;
use crate::stop::{Stop, StopReason};

/// Ends a thread: wakes the calling thread, which waits for it. The jobs of a thread that panicked
/// are never finished, so the run is halted, or the other threads would wait for them.
pub(super) struct Leaving<'a> {
    pub(super) left: &'a AtomicUsize,
    pub(super) caller: &'a Thread,
    pub(super) halted: &'a Stop,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if panicking() {
            self.halted.request(StopReason::Halted);
        }
        self.left.fetch_sub(1, Ordering::AcqRel);
        self.caller.unpark();
    }
}

/// Counts the threads whose workers are at work. A connection is driven by the event loop of the
/// thread that opened it, also while another thread uses it, so no event loop may end before all
/// are done.
pub(super) struct AtWork {
    threads: AtomicUsize,
    all_done: Notify,
}

impl AtWork {
    /// Each of the threads holds a [`Serving`].
    pub(super) fn new(threads: usize) -> Self {
        Self { threads: AtomicUsize::new(threads), all_done: Notify::new() }
    }

    /// Waits until no thread is at work any more.
    pub(super) async fn ended(&self) {
        let notified = self.all_done.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if 0 < self.threads.load(Ordering::Acquire) {
            notified.await;
        }
    }
}

/// Counts for one thread while it exists.
pub(super) struct Serving<'a>(pub(super) &'a AtWork);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if self.0.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.all_done.notify_waiters();
        }
    }
}

/// Ends the publisher when it is dropped, also after a panic.
pub(super) struct Last<'a>(pub(super) Option<&'a Publisher<'a>>);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        if let Some(publisher) = self.0 {
            publisher.end();
        }
    }
}

/// Held by the loop that hands events to the reporter. When it ends, the ledger drops further
/// events; when the reporter panics, the run is halted.
pub(super) struct Listening<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) halted: &'a Stop,
    pub(super) publisher: Option<&'a Publisher<'a>>,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.ledger.close();
        if panicking() {
            self.halted.request(StopReason::Halted);
            drop(Last(self.publisher));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::dest::Dest;
    use crate::dest::state::{Claim, State};
    use crate::http::Clock;

    fn leave(work: impl FnOnce()) -> (usize, bool) {
        let (left, halted) = (AtomicUsize::new(2), Stop::default());
        let caller = std::thread::current();
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _leaving = Leaving { left: &left, caller: &caller, halted: &halted };
            work();
        }));
        (left.into_inner(), halted.is_requested())
    }

    #[test]
    fn a_panic_of_one_thread_ends_the_others() {
        assert_eq!(leave(|| {}), (1, false));
        assert_eq!(leave(|| panic!("a bug")), (1, true));
    }

    #[test]
    fn event_loops_go_on_until_no_thread_is_at_work() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let at_work = AtWork::new(2);
        runtime.block_on(async {
            let ended = at_work.ended();
            tokio::pin!(ended);
            drop(Serving(&at_work));
            let early = tokio::select! {
                biased;
                () = &mut ended => true,
                () = std::future::ready(()) => false,
            };
            assert!(!early, "one is at work");
            drop(Serving(&at_work));
            ended.await;
            at_work.ended().await;
        });
    }

    #[test]
    fn a_panic_of_the_reporter_ends_the_run() {
        let (ledger, halted) = (Ledger::new(1), Stop::default());
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
        let publisher = Publisher::new(&dest, &state, Clock::system());
        let listen = |work: fn()| {
            catch_unwind(AssertUnwindSafe(|| {
                let publisher = Some(&publisher);
                let _listening = Listening { ledger: &ledger, halted: &halted, publisher };
                work();
            }))
        };
        assert!(listen(|| {}).is_ok());
        assert!(!halted.is_requested() && !publisher.has_ended());
        assert!(listen(|| panic!("a bug")).is_err());
        assert!(halted.is_requested() && publisher.has_ended());
    }
}
