//! A limit on bytes a second, shared fairly: each piece takes its place in one line.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How far behind the line may fall before pieces must wait: it evens out the steps of timers.
const SLACK: Duration = Duration::from_millis(50);

/// So many bytes have a turn.
const SLICE: u64 = 8 * 1024;

/// A limit on bytes a second.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    free_at: Mutex<Instant>,
}

impl Pace {
    /// That many bytes a second.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until that many bytes that have arrived were due. They take their turns in slices, so that
    /// who has few does not wait for all of those who have many.
    pub(crate) async fn take(&self, mut bytes: u64) {
        while 0 < bytes {
            let slice = bytes.min(SLICE);
            self.take_slice(slice).await;
            bytes -= slice;
        }
    }

    async fn take_slice(&self, bytes: u64) {
        let now = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a fraction of a byte does not matter")]
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let due = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            // Time in which nobody asked is not saved up.
            *free_at = (*free_at).max(now) + cost;
            *free_at
        };
        if now + SLACK < due {
            tokio::time::sleep_until(due - SLACK).await;
        }
    }
}
