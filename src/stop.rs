//! Ending a run early, from a signal or from a program that uses the library.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::failure::ExitStatus;

/// A shared request to end. Clones are the same request.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    status: AtomicU8,
    changed: Notify,
}

impl Stop {
    /// A request that SIGINT and SIGTERM make: the first ends the run in good order, the second ends
    /// the process at once. Where the system refuses to tell of signals, they do what they always do.
    #[must_use]
    pub fn on_signals() -> Self {
        let stop = Self::default();
        // Nothing is lost when they cannot be heard: killed runs leave no half files either.
        let _ = stop.clone().listen();
        stop
    }

    fn listen(self) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate) = {
            use tokio::signal::unix::{SignalKind, signal};
            let _entered = runtime.enter();
            // A file that may not grow is an error of a write; unheard, its signal would end the process.
            let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let status = tokio::select! {
                        _ = interrupt.recv() => ExitStatus::Interrupted,
                        _ = terminate.recv() => ExitStatus::Terminated,
                    };
                    if self.is_requested() {
                        std::process::exit(i32::from(status as u8));
                    }
                    self.request(status);
                }
            });
        })?;
        Ok(())
    }

    /// Asks for the end. The first to ask decides with which status.
    pub fn request(&self, status: ExitStatus) {
        let _ =
            self.0.status.compare_exchange(0, status as u8, Ordering::AcqRel, Ordering::Acquire);
        self.0.changed.notify_waiters();
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.status.load(Ordering::Acquire) != 0
    }

    /// The status to end with, where a signal asked for the end.
    #[must_use]
    pub fn signal(&self) -> Option<ExitStatus> {
        match self.0.status.load(Ordering::Acquire) {
            status if status == ExitStatus::Interrupted as u8 => Some(ExitStatus::Interrupted),
            status if status == ExitStatus::Terminated as u8 => Some(ExitStatus::Terminated),
            _ => None,
        }
    }

    /// Waits until the end is asked for.
    pub async fn requested(&self) {
        let notified = self.0.changed.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_requested() {
            notified.await;
        }
    }
}
