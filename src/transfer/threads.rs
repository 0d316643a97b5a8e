//! How the threads of a run end: together, and also when one of them panics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Thread, panicking};

use tokio::sync::Notify;

use super::ledger::Ledger;
use super::publish::Message;
use super::queue::Queue;
use crate::stop::{Stop, StopReason};

/// A thread that ends, however it does, and wakes the one that waits for it. When it panics, what it
/// had in hand never comes to its end, so the others are told not to wait for that.
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

/// Counts the threads whose workers are at work. A connection is tended by the event loop of the thread
/// that made it, also while another thread uses it, so no event loop ends before all are done.
pub(super) struct AtWork {
    threads: AtomicUsize,
    all_done: Notify,
}

impl AtWork {
    /// So many threads, each of which holds a [`Serving`].
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

/// A thread's part in the count, for as long as this value lives.
pub(super) struct Serving<'a>(pub(super) &'a AtWork);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if self.0.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.all_done.notify_waiters();
        }
    }
}

/// Tells the publisher that there is nothing more, however its thread ends.
pub(super) struct Last<'a>(pub(super) &'a Queue<Message>);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The loop that hands events on. When it ends, nobody waits for it any more; when it panics, the
/// run ends as well.
pub(super) struct Listening<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) halted: &'a Stop,
    pub(super) publisher: &'a Queue<Message>,
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
    use crate::transfer::publish;

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
    fn a_panic_of_who_listens_ends_the_run() {
        let (ledger, halted) = (Ledger::new(1), Stop::default());
        let publisher = publish::queue();
        let listen = |work: fn()| {
            catch_unwind(AssertUnwindSafe(|| {
                let _listening =
                    Listening { ledger: &ledger, halted: &halted, publisher: &publisher };
                work();
            }))
        };
        assert!(listen(|| {}).is_ok());
        assert!(!halted.is_requested() && !publisher.has_ended());
        assert!(listen(|| panic!("a bug")).is_err());
        assert!(halted.is_requested() && publisher.has_ended());
    }
}
