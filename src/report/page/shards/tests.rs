use super::*;
use crate::event::history::{Counts, Exit};

fn part(number: u32, total: u32, start: u64, elapsed: u64) -> Part {
    Part { number, total, start, elapsed, entries: 30, failed: 0 }
}

fn past(shards: Vec<Part>) -> Past {
    Past {
        began: 1_700_000_000_000,
        elapsed: shards.iter().map(|part| part.start + part.elapsed).max().unwrap_or(0),
        command: "apply".to_owned(),
        only: Vec::new(),
        bound: 9,
        exit: Exit::Ok,
        counts: Counts::default(),
        failed: 0,
        failures: Vec::new(),
        timeline: None,
        shards,
    }
}

fn kinds(shards: &Shards) -> Vec<(&'static str, &str)> {
    shards.kinds.iter().map(|kind| (kind.class, kind.count.as_str())).collect()
}

#[test]
fn a_single_run_has_no_shards() {
    assert!(shards(&past(Vec::new())).is_none());
}

#[test]
fn each_shard_is_a_bar_over_the_time_of_the_job() {
    let mut parts = vec![
        part(1, 5, 0, 2000),
        part(2, 5, 0, 2500),
        part(4, 5, 2000, 8000),
        part(5, 5, 2500, 2000),
    ];
    parts[1].failed = 3;
    let shown = shards(&past(parts)).unwrap();
    assert_eq!(shown.title, "4 of 5 shards");
    assert_eq!(
        shown.summary,
        "of the run of 2023-11-14 22:13 UTC; they took 2.0 s to 8.0 s, the median is 2.5 s, at most 2 at the same time"
    );
    assert_eq!(kinds(&shown), [("n", "2"), ("s", "1"), ("f", "1")]);
    let bars: Vec<_> = shown.rects.iter().map(|bar| (bar.class, bar.x, bar.y, bar.width)).collect();
    assert_eq!(
        bars,
        [
            ("n", 0.0, 0.0, 200.0),
            ("f", 0.0, 12.0, 250.0),
            ("s", 200.0, 24.0, 800.0),
            ("n", 250.0, 36.0, 200.0),
        ]
    );
    assert_eq!(
        shown.rects[1].title.as_deref(),
        Some("shard 2 of 5\n30 entries, 3 failed\nbegan after 0 ms, took 2.5 s")
    );
    assert_eq!(
        shown.notes[1..],
        [
            "Slower than twice the median: 4 (8.0 s).",
            "With failed entries: 2.",
            "Missing when the job was merged: 3."
        ]
    );
    assert_eq!((shown.listed, shown.rows.len(), shown.peak), ("Each shard", 4, None));
    assert_eq!(shown.ticks, ["0.0 s", "2.5 s", "5.0 s", "7.5 s", "10.0 s"]);
}

#[test]
fn shards_of_the_same_length_need_few_words() {
    let summary = |parts| shards(&past(parts)).unwrap().summary;
    let begin = "of the run of 2023-11-14 22:13 UTC; ";
    assert_eq!(summary(vec![part(1, 1, 0, 300)]), format!("{begin}it took 300 ms"));
    assert_eq!(
        summary(vec![part(1, 2, 0, 3000), part(2, 2, 0, 3300)]),
        format!("{begin}each took about 3.3 s, all at the same time")
    );
    assert_eq!(
        summary(vec![part(1, 2, 0, 3000), part(2, 2, 3000, 3300)]),
        format!("{begin}each took about 3.3 s, one after the other")
    );
}

#[test]
fn of_many_shards_the_distribution_and_the_slowest_are_shown() {
    let mut parts: Vec<_> = (1..=5000)
        .map(|number| part(number, 5000, u64::from(number) * 10, 60_000 + u64::from(number)))
        .collect();
    parts[6].elapsed = 7_200_000;
    for part in parts.iter_mut().skip(10).step_by(2).take(100) {
        part.failed = 1;
    }
    let shown = shards(&past(parts)).unwrap();
    assert_eq!(shown.title, "5000 shards");
    assert!(shown.rects.len() <= 3 * COLUMNS, "{}", shown.rects.len());
    let has_room = |bar: &Rect| bar.x + bar.width <= WIDTH && bar.y + bar.height <= TALL + 0.1;
    assert!(shown.rects.iter().all(|bar| has_room(bar) && 0.0 <= bar.y));
    assert_eq!(kinds(&shown), [("n", "4899"), ("s", "1"), ("f", "100")]);
    // The axis ends at four times the median, and the straggler is in its last column.
    let last = shown.rects.last().unwrap();
    assert_eq!((last.class, last.title.as_deref()), ("s", Some("1 shard")));
    assert_eq!(shown.ticks[4], "4 min 10 s or more");
    assert_eq!((shown.listed, shown.rows.len()), ("The slowest", LISTED));
    assert_eq!((shown.rows[0].number.as_str(), shown.rows[0].slow), ("7", true));
    let failed = &shown.notes[1];
    assert!(failed.starts_with("With failed entries: 11, 13, 15, "), "{failed}");
    assert!(failed.ends_with(", 49 and others, 100 in all."), "{failed}");
}
