//! Progress without a terminal: a line every ten seconds, so that a log shows that the run goes on.

use std::fmt::Write as _;
use std::time::Duration;

use super::escape::Untrusted;
use super::meter::Meter;
use super::progress::describe_stage;
use super::units::{Bytes, Left, Rate};

/// Limits how often a line is written.
#[derive(Debug, Default)]
pub(super) struct Plain {
    last: Duration,
}

/// At this rate, an hour adds 360 lines to a log.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

impl Plain {
    /// The next line, if it is due.
    pub(super) fn poll(&mut self, label: &str, meter: &Meter, now: Duration) -> Option<String> {
        if now.saturating_sub(self.last) < BETWEEN_LINES {
            return None;
        }
        self.last = now;
        Some(format!("{label}: {}\n", describe(meter, now)))
    }
}

fn describe(meter: &Meter, now: Duration) -> String {
    if let Some(stage) = meter.stage() {
        return describe_stage(stage);
    }
    let failed = match meter.failed() {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let (done, total, bytes) = (meter.done(), meter.total(), Bytes(meter.bytes()));
    let mut text = format!("{done}/{total} files{failed}, {bytes}");
    if let Some(rate) = meter.rate(now) {
        let _ = write!(text, ", {}", Rate(rate));
    }
    if let Some(eta) = meter.eta(now) {
        let _ = write!(text, ", {}", Left(eta));
    }
    let waits = meter.active().filter(|(_, transfer)| transfer.retry.is_some()).count();
    if 0 < waits {
        let _ = write!(text, ", {waits} wait for a retry");
    }
    if let Some(held) = meter.held(now) {
        let left = Left(held.until.saturating_sub(now));
        let _ = write!(text, ", {} asks for a pause, {left}", Untrusted(&held.origin));
    }
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::event::{Event, Outcome, Phase};
    use crate::manifest::entry::EntryIndex;
    use crate::plan::Counts;

    #[test]
    fn a_line_every_ten_seconds_at_most() {
        let mut meter = Meter::default();
        let mut plain = Plain::default();
        let mut lines = String::new();
        let millis = Duration::from_millis;
        meter.event(&Event::Phase { phase: Phase::Scanning, total: None }, millis(0));
        let mut tick = |meter: &mut Meter, now| {
            meter.sample(now);
            lines.extend(plain.poll("natgeo", meter, now));
        };
        for turn in 0..120 {
            meter.event(&Event::Advanced { done: turn * 100 }, millis(turn * 100));
            tick(&mut meter, millis(turn * 100));
        }
        let counts = Counts { fetch: 338, ..Counts::default() };
        meter.event(&Event::Planned { counts, known_bytes: 0, unknown_sizes: 338 }, millis(12_000));
        meter.event(&Event::Phase { phase: Phase::Transferring, total: None }, millis(12_000));
        for turn in 1..=250 {
            let (entry, now) = (EntryIndex(turn), millis(12_000 + turn * 100));
            meter.event(&Event::Received { entry, bytes: 376_000 }, now);
            meter.event(
                &Event::Finished { entry, outcome: Outcome::Unchanged, attempts: 1, received: 0 },
                now,
            );
            tick(&mut meter, now);
        }
        assert_snapshot!(lines, @r"
        natgeo: scanning, 10000 files
        natgeo: 80/338 files, 30.1 MB, 3.8 MB/s, 26 s left
        natgeo: 180/338 files, 67.7 MB, 3.8 MB/s, 16 s left
        ");
    }
}
