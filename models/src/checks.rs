//! The programs. In loom a wait with a time limit never ends by time, so each wake-up has to come.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread::{spawn, yield_now};

use crate::event::{Event, Outcome};
use crate::ledger::Ledger;
use crate::manifest::entry::EntryIndex;
use crate::queue::Queue;
use crate::threads::lock;
use crate::threads::sync::Mutex;
use crate::walk_queue;

type Check = (&'static str, fn());

pub(crate) const ALL: [Check; 7] = [
    ("queue: every item is taken once, in the order of its producer", every_item_is_taken),
    ("queue: a full queue lets its producer go on", a_full_queue_empties),
    ("queue: producers end after the consumer is gone", producers_outlive_the_consumer),
    ("ledger: a full ledger lets its threads go on", a_full_ledger_empties),
    ("ledger: threads end after it is closed", a_closed_ledger_lets_go),
    ("ledger: an event counts what was received before", what_was_received_is_counted),
    ("walk: every folder is visited once, and all helpers end", every_folder_is_visited),
];

const LONG: Duration = Duration::from_secs(60);

fn every_item_is_taken() {
    let queue = Arc::new(Queue::new(4));
    let producers: Vec<_> = [[1, 2], [11, 12]]
        .into_iter()
        .map(|items| {
            let queue = Arc::clone(&queue);
            spawn(move || items.into_iter().for_each(|item| queue.put(item)))
        })
        .collect();
    let taker = queue.taker();
    let mut taken = Vec::new();
    while taken.len() < 4 {
        // The consumer asks for no more than what comes.
        let enough = if taken.is_empty() { 2 } else { 1 };
        taken.extend(taker.take(enough, LONG, None).expect("no end was declared"));
    }
    for producer in producers {
        producer.join().expect("no panic");
    }
    queue.end();
    assert!(taker.take(1, LONG, None).is_none(), "nothing is left");
    let place = |item| taken.iter().position(|taken| *taken == item).expect("it came");
    assert!(place(1) < place(2) && place(11) < place(12), "{taken:?}");
}

fn a_full_queue_empties() {
    let queue = Arc::new(Queue::new(1));
    let producer = {
        let queue = Arc::clone(&queue);
        spawn(move || {
            (0..3).for_each(|item| queue.put(item));
            queue.end();
        })
    };
    let taker = queue.taker();
    let mut taken = Vec::new();
    while let Some(items) = taker.take(usize::MAX, LONG, None) {
        taken.extend(items);
    }
    producer.join().expect("no panic");
    assert_eq!(taken, [0, 1, 2]);
}

fn producers_outlive_the_consumer() {
    let queue = Arc::new(Queue::new(1));
    let producers: Vec<_> = (0..2)
        .map(|_| {
            let queue = Arc::clone(&queue);
            spawn(move || (0..2).for_each(|item| queue.put(item)))
        })
        .collect();
    let taker = queue.taker();
    taker.take(1, LONG, None);
    drop(taker);
    for producer in producers {
        producer.join().expect("no panic");
    }
}

fn received(bytes: u64) -> Event {
    Event::Received { entry: EntryIndex(0), bytes }
}

fn a_full_ledger_empties() {
    let ledger = Arc::new(Ledger::with_room(1, 1));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let ledger = Arc::clone(&ledger);
            spawn(move || ledger.tell(received(1)))
        })
        .collect();
    let mut taken = 0;
    while taken < 2 {
        taken += ledger.take().len();
        yield_now();
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
}

fn a_closed_ledger_lets_go() {
    let ledger = Arc::new(Ledger::with_room(1, 1));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let ledger = Arc::clone(&ledger);
            spawn(move || (0..2).for_each(|_| ledger.tell(received(1))))
        })
        .collect();
    ledger.take();
    ledger.close();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert!(ledger.take().len() <= 1);
}

fn what_was_received_is_counted() {
    let ledger = Arc::new(Ledger::with_room(2, 2));
    let other = {
        let ledger = Arc::clone(&ledger);
        spawn(move || {
            ledger.tell(Event::Received { entry: EntryIndex(1), bytes: 5 });
            ledger.finish(EntryIndex(1), Outcome, 1);
        })
    };
    let mut events = Vec::new();
    let mut all = 0;
    while all < 2 {
        events.extend(ledger.take());
        all = events.len();
        yield_now();
    }
    other.join().expect("no panic");
    assert!(ledger.is_finished(EntryIndex(1)) && !ledger.is_finished(EntryIndex(0)));
    let last = events.pop();
    assert!(matches!(last, Some(Event::Finished { received: 5, .. })), "{last:?}");
}

fn every_folder_is_visited() {
    let queue = Arc::new(walk_queue::Queue::default());
    let visited = Arc::new(Mutex::new(Vec::new()));
    queue.push(String::new());
    let help = |queue: &walk_queue::Queue, visited: &Mutex<Vec<String>>| {
        while let Some(path) = queue.pop() {
            if path.is_empty() {
                ["a", "b"].into_iter().for_each(|child| queue.push(child.to_owned()));
            }
            lock(visited).push(path);
            queue.finish();
        }
    };
    let helpers: Vec<_> = (0..2)
        .map(|_| {
            let (queue, visited) = (Arc::clone(&queue), Arc::clone(&visited));
            spawn(move || help(&queue, &visited))
        })
        .collect();
    help(&queue, &visited);
    for helper in helpers {
        helper.join().expect("no panic");
    }
    let mut visited = std::mem::take(&mut *lock(&visited));
    visited.sort();
    assert_eq!(visited, ["", "a", "b"]);
}
