//! A gate at which answers wait.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A gate that is closed until a test opens it. An answer that waits for it stays in flight.
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

    /// Opens the gate permanently.
    pub(crate) fn open(&self) {
        *self.0.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.opened.notify_all();
    }

    /// Waits until the gate is open or `given_up` returns true.
    pub(super) fn wait(&self, given_up: impl Fn() -> bool) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*open && !given_up() {
            let waited = self.0.opened.wait_timeout(open, Duration::from_millis(20));
            open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
