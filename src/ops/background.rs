//! Runs a stage without transfers on another thread, while the calling thread reports its progress.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::event::{Event, Reporter};

/// The interval between reports of progress.
const STEP: Duration = Duration::from_millis(100);

/// Runs the work of a stage on another thread, while this one reports its progress. The caller is
/// woken when the work ends, so a short stage is not delayed.
pub(crate) fn in_background<T: Send>(
    reporter: &mut dyn Reporter,
    work: impl FnOnce(&AtomicU64) -> T + Send,
) -> T {
    let done = AtomicU64::new(0);
    let ended = AtomicBool::new(false);
    let caller = std::thread::current();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let _ending = Ending { ended: &ended, caller };
            work(&done)
        });
        let mut told = 0;
        while !ended.load(Ordering::Acquire) {
            std::thread::park_timeout(STEP);
            let now = done.load(Ordering::Relaxed);
            if now != told {
                told = now;
                reporter.event(&Event::Advanced { done: now });
            }
            reporter.tick();
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Wakes the watching thread, also if the work panics.
struct Ending<'a> {
    ended: &'a AtomicBool,
    caller: std::thread::Thread,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.caller.unpark();
    }
}
