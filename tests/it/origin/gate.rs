//! Something that answers can be made to wait for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A gate that is closed until a test opens it; an answer that waits for it is held in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Lets everybody through, now and later.
    pub(crate) fn open(&self) {
        *self.0.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.opened.notify_all();
    }

    /// Waits until the gate is open, or until `given_up` says that nobody will need it any more.
    pub(super) fn wait(&self, given_up: impl Fn() -> bool) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*open && !given_up() {
            let waited = self.0.opened.wait_timeout(open, Duration::from_millis(20));
            open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
