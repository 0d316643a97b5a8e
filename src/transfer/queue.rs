//! A queue into which many put things one by one, and from which one takes all that is there.
//!
//! Waking a thread costs more than many a small file, so who takes says how much is worth waking for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The queue. It has an end, which whoever puts declares, and a taker, who may be gone before that.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    /// Enough is there, or the end was declared.
    filled: Condvar,
    /// There is room again, or nobody takes any more.
    emptied: Condvar,
    /// So many wait at most.
    bound: usize,
}

#[derive(Debug)]
struct Inner<T> {
    items: Vec<T>,
    /// With how many items the taker is to be woken.
    enough: Option<usize>,
    ended: bool,
    gone: bool,
}

/// Takes from a queue. When it is dropped, nobody waits for room any more.
#[derive(Debug)]
pub(super) struct Taker<'a, T>(&'a Queue<T>);

impl<T> Queue<T> {
    pub(super) fn new(bound: usize) -> Self {
        let inner = Inner { items: Vec::new(), enough: None, ended: false, gone: false };
        Self { inner: Mutex::new(inner), filled: Condvar::new(), emptied: Condvar::new(), bound }
    }

    /// Puts something in, and waits for room where there is none. What nobody takes any more is dropped.
    pub(super) fn put(&self, item: T) {
        let mut inner = self.lock();
        while self.bound <= inner.items.len() && !inner.gone {
            inner = self.emptied.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if inner.gone {
            return;
        }
        inner.items.push(item);
        if inner.enough.is_some_and(|enough| enough <= inner.items.len()) {
            inner.enough = None;
            drop(inner);
            self.filled.notify_one();
        }
    }

    /// Declares that nothing more comes.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.filled.notify_one();
    }

    /// The one who takes.
    pub(super) fn taker(&self) -> Taker<'_, T> {
        Taker(self)
    }

    /// Whether the end was declared.
    #[cfg(test)]
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Taker<'_, T> {
    /// All that is there, once there is something, and `enough` of it or so long after that. None after
    /// the end.
    pub(super) fn take(&self, enough: usize, within: Duration) -> Option<Vec<T>> {
        let mut inner = self.0.lock();
        while inner.items.is_empty() && !inner.ended {
            inner.enough = Some(1);
            inner = self.0.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + within;
        let enough = enough.min(self.0.bound);
        while inner.items.len() < enough && !inner.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner.enough = Some(enough);
            let waited = self.0.filled.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.enough = None;
        let items = std::mem::take(&mut inner.items);
        let was_full = self.0.bound <= items.len();
        let over = inner.ended && items.is_empty();
        drop(inner);
        if was_full {
            self.0.emptied.notify_all();
        }
        (!over).then_some(items)
    }
}

impl<T> Drop for Taker<'_, T> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.gone = true;
        inner.items.clear();
        drop(inner);
        self.0.emptied.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn what_is_there_is_taken_in_order_until_the_end() {
        let queue = Queue::new(100);
        let taker = queue.taker();
        (0..10).for_each(|n| queue.put(n));
        assert_eq!(taker.take(1, LONG), Some((0..10).collect()));
        queue.put(10);
        assert_eq!(taker.take(2, Duration::ZERO), Some(vec![10]), "time is over");
        queue.put(11);
        queue.end();
        assert_eq!(taker.take(100, LONG), Some(vec![11]), "no more comes");
        assert_eq!(taker.take(100, LONG), None);
    }

    #[test]
    fn the_taker_is_woken_when_it_is_enough() {
        let queue = Queue::new(100);
        let taker = queue.taker();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..64).for_each(|n| queue.put(n)));
            assert_eq!(taker.take(64, LONG).map(|taken| taken.len()), Some(64));
            scope.spawn(|| queue.end());
            assert_eq!(taker.take(64, LONG), None);
        });
    }

    #[test]
    fn who_puts_waits_for_room_and_for_nobody() {
        let queue = Queue::new(4);
        let taker = queue.taker();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1000).for_each(|n| queue.put(n)));
            let mut taken = Vec::new();
            while taken.len() < 1000 {
                let some = taker.take(usize::MAX, LONG).expect("it does not end");
                assert!(some.len() <= 4);
                taken.extend(some);
            }
            assert!(taken.is_sorted() && taken.len() == 1000);
        });
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1000).for_each(|n| queue.put(n)));
            drop(taker);
        });
    }
}
