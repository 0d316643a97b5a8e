//! The data of the shards of a job for the template: how long each ran, stragglers and failures.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::charts::{LEAST, Rect, WIDTH, number, tenth};
use super::format::{entries, grouped, moment};
use super::runs::{span, tick};
use crate::event::history::{Durations, Part, Past};
use crate::manifest::ranges;
use crate::report::units::{Count, Elapsed};

/// With more shards than this, the chart shows the distribution of their times.
const MOST_BARS: usize = 200;
/// Number of shards that are listed: the slowest.
const LISTED: usize = 20;
/// Number of stragglers that are named below the chart.
const NAMED: usize = 8;
/// Number of ranges of shards that are named below the chart.
const RANGES: usize = 20;
/// The axis of the distribution ends at this multiple of the median: with a shard that took a day,
/// all others would be in the first column.
const AXIS: u64 = 4;
/// Columns of the distribution, and their height.
const COLUMNS: usize = 60;
const TALL: f64 = 100.0;

/// The classes of the bars.
const ENDED: &str = "n";
const SLOW: &str = "s";
const FAILED: &str = "f";

/// The shards of one job.
#[derive(Debug, Serialize)]
pub(super) struct Shards {
    title: String,
    summary: String,
    kinds: Vec<Kind>,
    /// A text that says what the chart shows.
    label: String,
    rects: Vec<Rect>,
    height: f64,
    ticks: Vec<String>,
    /// The most shards of a column, for a distribution.
    peak: Option<String>,
    /// The width of a column.
    step: String,
    notes: Vec<String>,
    /// The heading of `rows`.
    listed: &'static str,
    rows: Vec<Row>,
}

/// The number of bars of a class.
#[derive(Debug, Serialize)]
struct Kind {
    class: &'static str,
    name: &'static str,
    count: String,
}

#[derive(Debug, Serialize)]
struct Row {
    number: String,
    began: String,
    took: String,
    entries: String,
    failed: String,
    slow: bool,
}

/// `None` unless the run was a job of shards.
pub(super) fn shards(past: &Past) -> Option<Shards> {
    let parts = &past.shards;
    let times = Durations::of(parts.iter().map(|part| part.elapsed))?;
    let total = parts.iter().map(|part| part.total).max()?;
    let is_distribution = MOST_BARS < parts.len();
    let chart = if is_distribution { distribution(parts, times) } else { bars(past, times) };
    let counts = [("ended", ENDED), ("straggler", SLOW), ("with failures", FAILED)];
    let kinds = counts.into_iter().filter_map(|(name, class)| {
        let count = parts.iter().filter(|part| class_of(part, times) == class).count() as u64;
        (count != 0).then(|| Kind { class, name, count: grouped(count) })
    });
    let mut rows: Vec<_> = parts.iter().collect();
    rows.sort_by_key(|part| (Reverse(part.elapsed), part.number));
    rows.truncate(LISTED);
    let all = rows.len() == parts.len();
    if all {
        rows.sort_by_key(|part| part.number);
    }
    let summary = summary(past, times);
    let mut ticks: Vec<_> =
        (0..=4).map(|quarter| tick(chart.width.saturating_mul(quarter) / 4, chart.width)).collect();
    if let (true, Some(last)) = (is_distribution && chart.width < times.longest, ticks.last_mut()) {
        last.push_str(" or more");
    }
    Some(Shards {
        title: title(parts.len(), total),
        kinds: kinds.collect(),
        label: format!("{summary}; the slowest are listed below"),
        summary,
        rects: chart.rects,
        height: chart.height,
        ticks,
        step: span(chart.width.div_ceil(COLUMNS as u64)),
        peak: chart.peak.map(grouped),
        notes: notes(parts, times, total, is_distribution),
        listed: if all { "Each shard" } else { "The slowest" },
        rows: rows.into_iter().map(|part| row(part, times)).collect(),
    })
}

/// `16 shards`, or `14 of 16 shards` if only a part of the job was merged.
fn title(merged: usize, total: u32) -> String {
    match u64::from(total) {
        total if merged as u64 == total && total == 1 => "1 shard".to_owned(),
        total if merged as u64 == total => format!("{} shards", grouped(total)),
        total => format!("{} of {} shards", grouped(merged as u64), grouped(total)),
    }
}

fn summary(past: &Past, times: Durations) -> String {
    let mut text = format!("of the run of {}; ", moment(past.began).0);
    let (shortest, median, longest) =
        (span(times.shortest), span(times.median), span(times.longest));
    let _ = match past.shards.len() {
        1 => write!(text, "it took {longest}"),
        _ if times.is_even() => write!(text, "each took about {longest}"),
        _ => write!(text, "they took {shortest} to {longest}, the median is {median}"),
    };
    let at_once = at_once(&past.shards);
    if 1 < past.shards.len() {
        let _ = match at_once {
            1 => write!(text, ", one after the other"),
            at_once if at_once == past.shards.len() => write!(text, ", all at the same time"),
            at_once => {
                write!(text, ", at most {} at the same time", grouped(at_once as u64))
            }
        };
    }
    text
}

/// The most shards that ran at the same time.
fn at_once(parts: &[Part]) -> usize {
    let mut changes: Vec<(u64, i64)> = parts
        .iter()
        .flat_map(|part| [(part.start, 1), (part.start.saturating_add(part.elapsed.max(1)), -1)])
        .collect();
    // At one instant, the ends come first.
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    usize::try_from(most).unwrap_or(0)
}

fn class_of(part: &Part, times: Durations) -> &'static str {
    match (part.failed, times.is_straggler(part.elapsed)) {
        (0, false) => ENDED,
        (0, true) => SLOW,
        _ => FAILED,
    }
}

struct Chart {
    rects: Vec<Rect>,
    height: f64,
    /// The length of the horizontal axis, in milliseconds.
    width: u64,
    peak: Option<u64>,
}

/// One bar a shard, from its start to its end, in the order of their numbers.
fn bars(past: &Past, times: Durations) -> Chart {
    let parts = &past.shards;
    let end = |part: &Part| part.start.saturating_add(part.elapsed);
    let width = parts.iter().map(end).max().unwrap_or(0).max(past.elapsed).max(1);
    let lane = (360.0 / number(parts.len() as u64)).clamp(2.4, 12.0);
    let mut y = 0.0;
    let bar = |part: &Part| {
        let x = (WIDTH * number(part.start) / number(width)).min(WIDTH - LEAST);
        let own = (WIDTH * number(part.elapsed) / number(width)).max(LEAST).min(WIDTH - x);
        let mut title =
            format!("shard {} of {}\n{}", part.number, part.total, entries(part.entries, grouped));
        if part.failed != 0 {
            let _ = write!(title, ", {} failed", grouped(part.failed));
        }
        let _ = write!(title, "\nbegan after {}, took {}", span(part.start), span(part.elapsed));
        let rect = Rect {
            class: class_of(part, times),
            x: tenth(x),
            y: tenth(y),
            width: tenth(own),
            height: tenth(lane * 0.75),
            title: Some(title),
        };
        y += lane;
        rect
    };
    let rects = parts.iter().map(bar).collect();
    Chart { rects, height: tenth(y), width, peak: None }
}

/// The length of the axis of a distribution.
fn axis(times: Durations) -> u64 {
    times.longest.min(times.median.max(1).saturating_mul(AXIS)).max(1)
}

/// The number of shards by the time that they took; the last column has all that took longer. Those with failures are at the bottom of each
/// column.
fn distribution(parts: &[Part], times: Durations) -> Chart {
    let width = axis(times);
    let step = WIDTH / number(COLUMNS as u64);
    let mut columns = [[0_u64; 3]; COLUMNS];
    let classes = [FAILED, SLOW, ENDED];
    for part in parts {
        let place = u128::from(part.elapsed) * COLUMNS as u128 / (u128::from(width) + 1);
        let column = &mut columns[usize::try_from(place).unwrap_or(0).min(COLUMNS - 1)];
        let class = class_of(part, times);
        for (count, _) in column.iter_mut().zip(classes).filter(|(_, one)| *one == class) {
            *count += 1;
        }
    }
    let peak = columns.iter().map(|column| column.iter().sum::<u64>()).max().unwrap_or(0);
    let mut rects = Vec::new();
    let mut x = 0.0;
    for column in columns {
        let mut bottom = TALL;
        for (count, class) in column.into_iter().zip(classes).filter(|(count, _)| *count != 0) {
            // A single shard stays visible.
            let tall = (TALL * number(count) / number(peak)).max(4.0).min(bottom);
            bottom -= tall;
            rects.push(Rect {
                class,
                x: tenth(x),
                y: tenth(bottom),
                width: tenth(step - 2.0),
                height: tenth(tall),
                title: Some(Count(count, "shard", "shards").to_string()),
            });
        }
        x += step;
    }
    Chart { rects, height: TALL, width, peak: Some(peak) }
}

fn notes(parts: &[Part], times: Durations, total: u32, is_distribution: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !is_distribution {
        notes.push(
            "Each bar is a shard, from its start to its end; the first is at the top.".to_owned(),
        );
    }
    let mut slow: Vec<_> = parts.iter().filter(|part| times.is_straggler(part.elapsed)).collect();
    slow.sort_by_key(|part| (Reverse(part.elapsed), part.number));
    if !slow.is_empty() {
        let named = slow.iter().take(NAMED).map(|part| {
            let elapsed = Elapsed(Duration::from_millis(part.elapsed));
            format!("{} ({elapsed})", part.number)
        });
        let mut text =
            format!("Slower than twice the median: {}", named.collect::<Vec<_>>().join(", "));
        if let more @ 1.. = slow.len().saturating_sub(NAMED) {
            let _ = write!(text, " and {} more", grouped(more as u64));
        }
        notes.push(format!("{text}."));
    }
    let failed: Vec<_> =
        parts.iter().filter(|part| part.failed != 0).map(|part| part.number).collect();
    if !failed.is_empty() {
        notes.push(format!("With failed entries: {}.", named(&failed)));
    }
    let present: std::collections::HashSet<_> = parts.iter().map(|part| part.number).collect();
    let missing: Vec<_> = (1..=total).filter(|number| !present.contains(number)).collect();
    if !missing.is_empty() {
        notes.push(format!("Missing when the job was merged: {}.", named(&missing)));
    }
    notes
}

/// Numbers as ranges; of many ranges the first.
fn named(numbers: &[u32]) -> String {
    let text = ranges(numbers);
    let all: Vec<_> = text.split(',').collect();
    let mut shown = all[..all.len().min(RANGES)].join(", ");
    if RANGES < all.len() {
        let _ = write!(shown, " and others, {} in all", grouped(numbers.len() as u64));
    }
    shown
}

fn row(part: &Part, times: Durations) -> Row {
    Row {
        number: grouped(u64::from(part.number)),
        began: span(part.start),
        took: span(part.elapsed),
        entries: grouped(part.entries),
        failed: grouped(part.failed),
        slow: times.is_straggler(part.elapsed),
    }
}

#[cfg(test)]
mod tests;
