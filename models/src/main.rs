//! Runs small programs over natsync's queues in every order in which threads can interleave, with up
//! to `PREEMPTIONS` switches that no wait forces. A deadlock, a lost wake-up or a broken promise is a
//! panic.
//!
//! The files below `src/` of natsync are compiled here unchanged, with the synchronisation of loom.
//! This is a program and not a test, since these files have tests of their own for plain threads.

#![allow(dead_code, reason = "a model does not use everything that a file offers")]

mod checks;
mod event;
mod manifest;
mod threads;

#[path = "../../src/transfer/ledger.rs"]
mod ledger;
#[path = "../../src/transfer/queue.rs"]
mod queue;
#[path = "../../src/dest/walk/queue.rs"]
mod walk_queue;

/// Faults that need more switches are hardly known, and each further one multiplies the time.
const PREEMPTIONS: usize = 3;

fn main() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    for (name, check) in checks::ALL {
        println!("{name}");
        model.check(check);
    }
}
