//! Work on several threads: one way to start it, and one policy for mutexes.

use std::sync::PoisonError;

use sync::{Condvar, Mutex, MutexGuard};

/// The synchronisation of the modules that `models/` checks in every interleaving. There it is that of
/// loom.
pub(crate) mod sync {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
}

/// Locks a mutex, also one that a panic has poisoned.
///
/// A panic ends the process with the status of a bug, and until then the other threads bring the run
/// to an end in good order: parts and the state are kept. What natsync guards by a mutex is changed in
/// steps that each leave it consistent, so that they may still use it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification; for a poisoned mutex as [`lock`].
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Takes the value out of a mutex; for a poisoned one as [`lock`].
pub(crate) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` once on each core, or fewer times where there are fewer `pieces` of work; the calling
/// thread is one of them. `work` takes pieces until none is left. A panic of one is passed on.
///
/// # Errors
/// The first error of any of them.
pub(crate) fn on_all_cores<E: Send>(
    pieces: usize,
    work: impl Fn() -> Result<(), E> + Sync,
) -> Result<(), E> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..cores.min(pieces)).map(|_| scope.spawn(&work)).collect();
        helpers.into_iter().fold(work(), |all, helper| {
            all.and(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_piece_is_done_once_and_the_first_error_is_the_answer() {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let work = || -> Result<(), ()> {
            loop {
                match next.fetch_add(1, Ordering::Relaxed) {
                    piece @ 0..100 => lock(&done).push(piece),
                    _ => return Ok(()),
                }
            }
        };
        on_all_cores(100, work).unwrap();
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..100).collect::<Vec<_>>());
        assert_eq!(on_all_cores(9, || Err("broken")), Err("broken"));
    }

    #[test]
    fn a_poisoned_mutex_is_still_locked() {
        let mutex = Mutex::new(1);
        let poisoning = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = mutex.lock();
            panic!("poison");
        }));
        assert!(poisoning.is_err() && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 1);
    }
}
