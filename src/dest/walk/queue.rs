//! The folders of a walk, shared by the threads that take part.

use crate::threads::sync::{Condvar, Mutex, MutexGuard};
use crate::threads::{lock, wait};

/// Folders that are still to be visited. The walk is done when no folder waits and no thread is in
/// one.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    paths: Vec<String>,
    visiting: usize,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.state)
    }

    pub(super) fn push(&self, path: String) {
        self.lock().paths.push(path);
        self.changed.notify_one();
    }

    /// The next folder, which its taker has to [`finish`](Self::finish). Waits while another thread
    /// is in a folder, in which it may find more. None if the walk is over.
    pub(super) fn pop(&self) -> Option<String> {
        let mut waiting = self.lock();
        loop {
            if let Some(path) = waiting.paths.pop() {
                waiting.visiting += 1;
                return Some(path);
            }
            if waiting.visiting == 0 {
                return None;
            }
            waiting = wait(&self.changed, waiting);
        }
    }

    pub(super) fn finish(&self) {
        let mut waiting = self.lock();
        waiting.visiting -= 1;
        if waiting.visiting == 0 && waiting.paths.is_empty() {
            self.changed.notify_all();
        }
    }
}
