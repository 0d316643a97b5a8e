//! A limit on bytes per second, shared fairly: pieces of all transfers are due one after the other.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::threads::lock;

/// Pieces wait only if they are early by more than this, which evens out the resolution of timers.
const SLACK: Duration = Duration::from_millis(50);

/// The largest piece that is due at once, in bytes.
const SLICE: u64 = 8 * 1024;

/// A limit on bytes per second.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    free_at: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until bytes that have arrived are due. They are due in slices, so that a small
    /// transfer does not wait for all bytes of a large one.
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
            let mut free_at = lock(&self.free_at);
            // Unused time is not credited.
            *free_at = (*free_at).max(now) + cost;
            *free_at
        };
        if now + SLACK < due {
            tokio::time::sleep_until(due - SLACK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn transfers_share_a_rate_and_small_ones_are_not_starved() {
        let (pace, began) = (Pace::new(600_000), Instant::now());
        let transfer = async |bytes: u64| {
            for _ in 0..bytes / 60_000 {
                pace.take(60_000).await;
            }
            pace.take(bytes % 60_000).await;
            began.elapsed().as_secs_f64()
        };
        let (one, other, small) =
            tokio::join!(transfer(600_000), transfer(600_000), transfer(1000));
        assert!(small < 0.1, "{small} s");
        assert!((1.9..2.1).contains(&one) && (1.9..2.1).contains(&other), "{one} s and {other} s");
    }
}
