//! A bounded queue with many producers and one consumer, which takes all items at once.
//!
//! Waking a thread costs more than many a small file, so the consumer says how many items are worth
//! a wake-up.

use std::sync::PoisonError;
use std::time::Duration;

use crate::threads::sync::{Condvar, Mutex, MutexGuard};
use crate::threads::{lock, wait};

#[derive(Debug)]
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    /// Enough items wait, or the end was declared.
    filled: Condvar,
    /// There is room again, or the consumer is gone.
    emptied: Condvar,
    /// At most this many items wait.
    bound: usize,
}

#[derive(Debug)]
struct Inner<T> {
    items: Vec<T>,
    /// The consumer sleeps until this many items wait.
    enough: Option<usize>,
    ended: bool,
    gone: bool,
}

/// The consumer. After it is dropped, producers do not wait for room any more.
#[derive(Debug)]
pub(super) struct Taker<'a, T>(&'a Queue<T>);

impl<T> Queue<T> {
    pub(super) fn new(bound: usize) -> Self {
        let inner = Inner { items: Vec::new(), enough: None, ended: false, gone: false };
        Self { inner: Mutex::new(inner), filled: Condvar::new(), emptied: Condvar::new(), bound }
    }

    /// Adds an item, and waits for room if there is none. Without a consumer the item is dropped.
    pub(super) fn put(&self, item: T) {
        let mut inner = self.lock();
        while self.bound <= inner.items.len() && !inner.gone {
            inner = wait(&self.emptied, inner);
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

    /// Declares that no more items come.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.filled.notify_one();
    }

    /// The consumer. There must be only one at a time.
    pub(super) fn taker(&self) -> Taker<'_, T> {
        Taker(self)
    }

    /// Whether the end was declared.
    #[cfg(test)]
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        lock(&self.inner)
    }
}

impl<T> Taker<'_, T> {
    /// Waits for an item, then until there are `enough` or `within` is over, and takes all items.
    /// None after the end. With `patience`, it waits that long for the first item, and then takes
    /// none.
    pub(super) fn take(
        &self,
        enough: usize,
        within: Duration,
        patience: Option<Duration>,
    ) -> Option<Vec<T>> {
        let mut inner = self.0.lock();
        while inner.items.is_empty() && !inner.ended {
            inner.enough = Some(1);
            let Some(patience) = patience else {
                inner = wait(&self.0.filled, inner);
                continue;
            };
            let waited = self.0.filled.wait_timeout(inner, patience);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            inner = guard;
            if waited.timed_out() && inner.items.is_empty() && !inner.ended {
                inner.enough = None;
                return Some(Vec::new());
            }
        }
        let enough = enough.min(self.0.bound);
        while inner.items.len() < enough && !inner.ended {
            inner.enough = Some(enough);
            let waited = self.0.filled.wait_timeout(inner, within);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            inner = guard;
            if waited.timed_out() {
                break;
            }
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

    /// Takes the items that wait now.
    #[cfg(test)]
    pub(super) fn take_now(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().items)
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
    fn items_are_taken_in_order_until_the_end() {
        let queue = Queue::new(100);
        let taker = queue.taker();
        (0..10).for_each(|n| queue.put(n));
        assert_eq!(taker.take(1, LONG, None), Some((0..10).collect()));
        queue.put(10);
        assert_eq!(taker.take(2, Duration::ZERO, None), Some(vec![10]), "time is over");
        queue.put(11);
        queue.end();
        assert_eq!(taker.take(100, LONG, None), Some(vec![11]), "no more comes");
        assert_eq!(taker.take(100, LONG, None), None);
    }

    #[test]
    fn a_taker_with_patience_takes_none_in_the_end() {
        let queue = Queue::new(100);
        let taker = queue.taker();
        assert_eq!(taker.take(64, LONG, Some(Duration::ZERO)), Some(Vec::new()));
        queue.put(1);
        assert_eq!(taker.take(1, LONG, Some(Duration::ZERO)), Some(vec![1]));
        queue.end();
        assert_eq!(taker.take(1, LONG, Some(Duration::ZERO)), None);
    }

    #[test]
    fn the_taker_is_woken_when_enough_items_wait() {
        let queue = Queue::new(100);
        let taker = queue.taker();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..64).for_each(|n| queue.put(n)));
            assert_eq!(taker.take(64, LONG, None).map(|taken| taken.len()), Some(64));
            scope.spawn(|| queue.end());
            assert_eq!(taker.take(64, LONG, None), None);
        });
    }

    #[test]
    fn putting_waits_for_room_unless_the_taker_is_gone() {
        let queue = Queue::new(4);
        let taker = queue.taker();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1000).for_each(|n| queue.put(n)));
            let mut taken = Vec::new();
            while taken.len() < 1000 {
                let some = taker.take(usize::MAX, LONG, None).expect("it does not end");
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
