//! Lays out charts: turns numbers into rectangles in a box that is 1000 units wide.

use serde::Serialize;

use crate::event::history::Timeline;
use crate::ops::overview::{Condition, Tally};

/// Width of every chart, in its own units.
pub(super) const WIDTH: f64 = 1000.0;
/// Most lanes of a timeline, and most lanes if the timeline shows less than half of the transfers.
const LANES: (usize, usize) = (48, 20);
/// Height of a lane.
const LANE: f64 = 7.0;
/// Least width of a transfer.
pub(super) const LEAST: f64 = 2.0;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Rect {
    pub(super) class: &'static str,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
}

/// The CSS class of a condition, which the script uses too.
pub(super) fn class_of(condition: Condition) -> &'static str {
    match condition {
        Condition::Present => "p",
        Condition::Fresh => "n",
        Condition::Absent => "a",
        Condition::Failed => "f",
        Condition::Differs => "d",
        Condition::Gone => "g",
        Condition::Untried => "u",
    }
}

/// Parts side by side, as wide as their shares. A part that is not zero stays visible.
pub(super) fn shares(parts: &[(&'static str, u64)]) -> Vec<Rect> {
    let total: u64 = parts.iter().map(|part| part.1).sum();
    let filled = parts.iter().filter(|part| 0 < part.1);
    let least = 6.0;
    let extra = least * number(filled.clone().count() as u64);
    let mut x = 0.0;
    let mut rects = Vec::new();
    for &(class, count) in filled {
        let width = least + (WIDTH - extra) * number(count) / number(total.max(1));
        rects.push(Rect {
            class,
            x: tenth(x),
            y: 0.0,
            width: tenth(width),
            height: 10.0,
            title: None,
        });
        x += width;
    }
    rects
}

/// The shares of the conditions, in the order of the legend.
pub(super) fn tally(tally: &Tally) -> Vec<Rect> {
    let parts = Condition::ALL.map(|condition| (class_of(condition), tally.of(condition)));
    shares(&parts)
}

/// The width of a bar, where the bar of `greatest` fills the box.
pub(super) fn bar(count: u64, greatest: u64) -> f64 {
    if count == 0 { 0.0 } else { tenth((WIDTH * number(count) / number(greatest.max(1))).max(4.0)) }
}

/// Columns over time, and the greatest part. Each of `parts` covers `width` milliseconds of the
/// `span`, which is in milliseconds too.
pub(super) fn columns(parts: &[u64], width: u32, span: u64, height: f64) -> (Vec<Rect>, u64) {
    let greatest = parts.iter().copied().max().unwrap_or(0);
    let step = WIDTH * f64::from(width) / number(span.max(1));
    let mut rects = Vec::new();
    let mut x = 0.0;
    for &part in parts {
        let tall = height * number(part) / number(greatest.max(1));
        let own = step.min(WIDTH - x);
        if 0 < part && 0.0 < own {
            let tall = tall.max(1.0);
            rects.push(Rect {
                class: "flow",
                x: tenth(x),
                y: tenth(height - tall),
                width: tenth((own - (step * 0.12).min(2.0)).max(0.5)),
                height: tenth(tall),
                title: None,
            });
        }
        x += step;
    }
    (rects, greatest)
}

/// A timeline: transfers that overlap in time are in different lanes.
pub(super) struct Lanes {
    pub(super) rects: Vec<Rect>,
    pub(super) height: f64,
}

/// Assigns transfers to lanes. `title` returns the tooltip of a transfer.
pub(super) fn lanes(
    timeline: &Timeline,
    span: u64,
    title: impl Fn(&crate::event::history::Transfer) -> String,
) -> Lanes {
    let span = number(span.max(1));
    let shown = timeline.transfers.len() as u64;
    let most = if shown.saturating_mul(2) < timeline.total { LANES.1 } else { LANES.0 };
    let mut ends: Vec<f64> = Vec::new();
    let mut rects = Vec::new();
    for (place, transfer) in timeline.transfers.iter().enumerate() {
        let x = WIDTH * f64::from(transfer.start) / span;
        let took = f64::from(transfer.end.saturating_sub(transfer.start));
        let x = x.min(WIDTH - LEAST);
        let width = (WIDTH * took / span).max(LEAST).min(WIDTH - x);
        let lane = match ends.iter().position(|&end| end <= x) {
            Some(lane) => lane,
            None if ends.len() < most => {
                ends.push(0.0);
                ends.len() - 1
            }
            // All lanes are busy: draw over another transfer.
            None => place % most,
        };
        ends[lane] = ends[lane].max(x + width);
        let class = match transfer.outcome.as_str() {
            "downloaded" | "updated" => "n",
            "absent" => "a",
            "failed" => "f",
            _ => "p",
        };
        rects.push(Rect {
            class,
            x: tenth(x),
            y: number(lane as u64) * LANE + 1.0,
            // A small gap to the next transfer.
            width: tenth((width - 0.6).max(1.0)),
            height: LANE - 2.0,
            title: Some(title(transfer)),
        });
    }
    Lanes { rects, height: number(ends.len().max(1) as u64) * LANE }
}

/// A count as a length.
#[expect(clippy::cast_precision_loss, reason = "a chart has a thousand units")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

pub(super) fn tenth(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::history::Transfer;

    fn timeline(spans: &[(u32, u32)]) -> Timeline {
        let transfer = |&(start, end): &(u32, u32)| Transfer {
            path: "x".to_owned(),
            start,
            end,
            bytes: 1,
            outcome: "downloaded".to_owned(),
        };
        Timeline { transfers: spans.iter().map(transfer).collect(), ..Timeline::default() }
    }

    #[test]
    fn shares_fill_the_width_and_stay_visible() {
        let rects = shares(&[("p", 1_000_000), ("a", 0), ("f", 1)]);
        assert_eq!(rects.iter().map(|rect| rect.class).collect::<Vec<_>>(), ["p", "f"]);
        assert!(6.0 <= rects[1].width);
        let end = rects[1].x + rects[1].width;
        assert!((end - WIDTH).abs() < 1.0, "{end}");
        assert_eq!(shares(&[]), []);
    }

    #[test]
    fn overlapping_transfers_are_in_different_lanes() {
        let lanes = lanes(&timeline(&[(0, 500), (0, 400), (450, 600), (500, 1000)]), 1000, |_| {
            String::new()
        });
        let ys: Vec<_> = lanes.rects.iter().map(|rect| rect.y).collect();
        assert_eq!(ys, [1.0, 8.0, 8.0, 1.0]);
        assert!((lanes.height - 14.0).abs() < 0.1);
    }

    #[test]
    fn the_number_of_lanes_is_bounded_and_nothing_is_outside_the_box() {
        let many: Vec<_> = (0..500).map(|number| (number % 3, u32::MAX)).collect();
        let lanes = lanes(&timeline(&many), 100, |_| String::new());
        assert!(lanes.height <= 48.0 * LANE);
        assert!(lanes.rects.iter().all(|rect| rect.x + rect.width <= WIDTH + 0.2));
        let (rects, greatest) = columns(&[0, 10, 5], 500, 1000, 50.0);
        assert_eq!((rects.len(), greatest), (1, 10));
        assert!(rects.iter().all(|rect| rect.x + rect.width <= WIDTH && rect.y == 0.0));
    }
}
