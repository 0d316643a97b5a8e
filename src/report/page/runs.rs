//! The data of the last runs, and of the transfers of one run over time, for the template.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::charts::{Rect, columns, lanes, number, shares};
use super::format::{grouped, moment, text};
use crate::event::history::{Exit, Past, Timeline, Transfer};
use crate::report::units::{Bytes, Elapsed, Rate};

/// Number of the slowest transfers that are listed.
const SLOWEST: usize = 10;
/// Height of the throughput chart, in its own units.
const FLOW: f64 = 100.0;

/// A row of the table of runs.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    began: String,
    began_at: String,
    /// The number of shards; empty for a single run.
    shards: String,
    command: String,
    only: Option<String>,
    exit: &'static str,
    class: &'static str,
    took: String,
    entries: String,
    fetched: String,
    right: String,
    absent: String,
    failed: String,
    skipped: String,
    pruned: String,
    bytes: String,
    share: Vec<Rect>,
}

/// The transfers of a run over time.
#[derive(Debug, Serialize)]
pub(super) struct Transfers {
    /// When the run began.
    began: String,
    summary: String,
    /// The unit of `columns`.
    unit: &'static str,
    peak: String,
    columns: Vec<Rect>,
    lanes: Vec<Rect>,
    height: f64,
    /// A caption for the lanes.
    note: String,
    /// Labels of the time axis.
    ticks: Vec<String>,
    slowest: Vec<Slow>,
}

#[derive(Debug, Serialize)]
struct Slow {
    path: String,
    outcome: String,
    began: String,
    took: String,
    bytes: String,
}

pub(super) fn run(past: &Past) -> Run {
    let counts = past.counts;
    let (fetched, right) = (counts.downloaded + counts.updated, counts.unchanged + counts.kept);
    let (began, began_at) = moment(past.began);
    Run {
        began,
        began_at,
        shards: match past.shards.len() as u64 {
            0 => String::new(),
            count => grouped(count),
        },
        command: text(&past.command),
        only: (!past.only.is_empty()).then(|| text(&past.only.join(" "))),
        exit: past.exit.as_str(),
        class: match past.exit {
            Exit::Ok => "good",
            Exit::Failed => "bad",
            Exit::Stopped => "look",
        },
        took: span(past.elapsed),
        entries: grouped(counts.entries),
        fetched: grouped(fetched),
        right: grouped(right),
        absent: grouped(counts.absent),
        failed: grouped(counts.failed),
        skipped: grouped(counts.skipped),
        pruned: grouped(counts.pruned),
        bytes: Bytes(counts.bytes).to_string(),
        share: shares(&[
            ("n", fetched),
            ("p", right),
            ("a", counts.absent),
            ("f", counts.failed),
            ("u", counts.skipped),
        ]),
    }
}

pub(super) fn transfers(past: &Past, timeline: &Timeline) -> Transfers {
    let last = timeline.transfers.iter().map(|transfer| transfer.end).max().unwrap_or(0);
    let span_ms = past.elapsed.max(u64::from(last)).max(1);
    let parts = timeline.flow.parts();
    // If most responses had no body (304), a chart of the responses is more useful.
    let fetched = past.counts.downloaded + past.counts.updated;
    let has_bytes =
        timeline.total <= fetched.saturating_mul(2) && parts.iter().any(|part| 0 < part.0);
    let amounts: Vec<_> =
        parts.iter().map(|part| if has_bytes { part.0 } else { part.1 }).collect();
    let (columns, greatest) = columns(&amounts, timeline.flow.width(), span_ms, FLOW);
    let width = Duration::from_millis(u64::from(timeline.flow.width()));
    let peak = if has_bytes {
        Rate::of(greatest, width).to_string()
    } else {
        format!("{:.0} per second", number(greatest) / width.as_secs_f64().max(0.001))
    };
    let shown = timeline.transfers.len() as u64;
    let mut note = "Each bar is a transfer, from its first request to its end.".to_owned();
    if shown < timeline.total {
        let _ = write!(
            note,
            " It shows {} of {}: {}.",
            grouped(shown),
            grouped(timeline.total),
            if past.shards.is_empty() {
                "the longest, and an even sample of the others"
            } else {
                "a sample of those of each shard"
            }
        );
    }
    let describe = |transfer: &Transfer| {
        let took = u64::from(transfer.end.saturating_sub(transfer.start));
        format!(
            "{}\n{}, {} in {}",
            text(&transfer.path),
            text(&transfer.outcome),
            Bytes(transfer.bytes),
            span(took)
        )
    };
    let lanes = lanes(timeline, span_ms, describe);
    let mut slowest: Vec<_> = timeline.transfers.iter().collect();
    slowest.sort_by_key(|transfer| {
        std::cmp::Reverse((transfer.end.saturating_sub(transfer.start), transfer.bytes))
    });
    let slow = |transfer: &&Transfer| Slow {
        path: text(&transfer.path),
        outcome: text(&transfer.outcome),
        began: span(u64::from(transfer.start)),
        took: span(u64::from(transfer.end.saturating_sub(transfer.start))),
        bytes: Bytes(transfer.bytes).to_string(),
    };
    Transfers {
        began: moment(past.began).0,
        summary: format!(
            "{} requests and {} in {}",
            grouped(timeline.total),
            Bytes(past.counts.bytes),
            span(past.elapsed)
        ),
        unit: if has_bytes { "Bytes per second" } else { "Responses per second" },
        peak,
        columns,
        lanes: lanes.rects,
        height: lanes.height,
        note,
        ticks: (0..=4).map(|quarter| tick(span_ms * quarter / 4, span_ms)).collect(),
        slowest: slowest.iter().take(SLOWEST).map(slow).collect(),
    }
}

/// A label on an axis of length `of`; both are in milliseconds.
pub(super) fn tick(milliseconds: u64, of: u64) -> String {
    match of {
        0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => {
            format!("{:.1} s", Duration::from_millis(milliseconds).as_secs_f64())
        }
        _ => span(milliseconds),
    }
}

/// A time span given in milliseconds. Spans below a second are shown exactly.
pub(super) fn span(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        _ => Elapsed(Duration::from_millis(milliseconds)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_spans_are_exact() {
        assert_eq!(
            [0, 40, 999, 1000, 61_000].map(span),
            ["0 ms", "40 ms", "999 ms", "1.0 s", "1 min 1 s"]
        );
    }
}
