//! Ending a run early, from a signal or from a program that uses the library.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Why a run is to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StopReason {
    /// SIGINT, or a caller that means the same.
    Interrupted = 1,
    /// SIGTERM or SIGHUP, or a caller that means the same.
    Terminated = 2,
    /// The run itself cannot or must not go on: a full disk, a first failure with `fail_fast`, a bug.
    Halted = 3,
}

impl StopReason {
    /// The exit status of a process that such a signal ends: 128 and the signal's number.
    fn exit_code(self) -> i32 {
        match self {
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Halted => 1,
        }
    }
}

/// A shared request to end. Clones are the same request.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reason: AtomicU8,
    changed: Notify,
}

impl Stop {
    /// A request that SIGINT, SIGTERM and SIGHUP make: the first signal ends the run in good order,
    /// the second one ends the process at once. A SIGHUP that the process ignores (`nohup`) stays
    /// ignored. If the handlers cannot be installed, the signals keep their default effect.
    #[must_use]
    pub fn on_signals() -> Self {
        Self::listening(None)
    }

    /// As [`Stop::on_signals`], but `limit` after the first signal the process ends at the latest,
    /// whatever it does then: a write to a pipe that is not read cannot be interrupted otherwise.
    #[must_use]
    #[cfg(feature = "cli")]
    pub(crate) fn on_signals_within(limit: Duration) -> Self {
        Self::listening(Some(limit))
    }

    fn listening(limit: Option<Duration>) -> Self {
        let stop = Self::default();
        // A run that is killed leaves no half-written files either.
        let _ = stop.clone().listen(limit);
        stop
    }

    fn listen(self, limit: Option<Duration>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate, mut hang_up) = {
            use tokio::signal::unix::{SignalKind, signal};
            let _entered = runtime.enter();
            // With a handler, exceeding `ulimit -f` is an error of the write; without one, SIGXFSZ
            // ends the process.
            let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
            let hang_up =
                if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) };
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, hang_up)
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                let mut next = async || {
                    let hung_up = async {
                        match &mut hang_up {
                            Some(signal) => signal.recv().await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        _ = interrupt.recv() => StopReason::Interrupted,
                        _ = terminate.recv() => StopReason::Terminated,
                        _ = hung_up => StopReason::Terminated,
                    }
                };
                let first = next().await;
                if self.is_requested() {
                    std::process::exit(first.exit_code());
                }
                self.request(first);
                let over = async {
                    match limit {
                        Some(limit) => tokio::time::sleep(limit).await,
                        None => std::future::pending().await,
                    }
                };
                let last = tokio::select! {
                    second = next() => second,
                    () = over => first,
                };
                std::process::exit(last.exit_code());
            });
        })?;
        Ok(())
    }

    /// Requests the end of the run. The first request decides the reason.
    pub fn request(&self, reason: StopReason) {
        let _ =
            self.0.reason.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.0.changed.notify_waiters();
    }

    /// Whether the end was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.reason.load(Ordering::Acquire) != 0
    }

    /// The reason of the request; none while the run may go on.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        [StopReason::Interrupted, StopReason::Terminated, StopReason::Halted]
            .into_iter()
            .find(|reason| self.0.reason.load(Ordering::Acquire) == *reason as u8)
    }

    /// Waits until the end is requested.
    pub async fn requested(&self) {
        let notified = self.0.changed.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_requested() {
            notified.await;
        }
    }
}

/// Whether the process was started with SIGHUP ignored. Only Linux tells that without `unsafe`.
fn ignores_hang_up() -> bool {
    const HANG_UP: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & HANG_UP != 0)
}
