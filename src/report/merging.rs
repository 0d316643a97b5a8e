//! The results of `merge` for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::escape::Untrusted;
use super::outcomes::Outcomes;
use super::tee::Closing;
use super::text::wrap;
use super::units::{Count, Elapsed};
use crate::event::history::Durations;
use crate::ops::MergeReport;

/// At most this many stragglers are named.
const NAMED: usize = 3;

impl Closing<MergeReport> for Outcomes<'_> {
    fn close(&mut self, report: &MergeReport) {
        self.close(&report.summary);
        if self.console().is_quiet() {
            return;
        }
        let name = Untrusted(self.manifest().name()).escaped();
        let line = format!("{name}: {}", describe(report));
        self.console().result(&format!("{}\n", wrap(&line, self.console().out_width())));
    }
}

/// `16 shards merged, which took 2.1 s to 3.4 s; 300 entries pinned`
pub(super) fn describe(report: &MergeReport) -> String {
    let mut text = format!("{} merged", Count(report.runs.len() as u64, "shard", "shards"));
    if let Some(times) = Durations::of(report.runs.iter().map(|(_, elapsed)| *elapsed)) {
        let (shortest, longest) = (shown(times.shortest), shown(times.longest));
        let _ = match report.runs.len() {
            1 => write!(text, ", which took {longest}"),
            _ if times.is_even() => write!(text, ", each of which took about {longest}"),
            _ => write!(text, ", which took {shortest} to {longest}"),
        };
        let mut stragglers: Vec<_> =
            report.runs.iter().filter(|(_, elapsed)| times.is_straggler(*elapsed)).collect();
        stragglers.sort_by_key(|(number, elapsed)| (std::cmp::Reverse(*elapsed), *number));
        let named: Vec<_> = stragglers
            .iter()
            .take(NAMED)
            .map(|(number, elapsed)| format!("{number} ({})", shown(*elapsed)))
            .collect();
        if !named.is_empty() {
            let noun = if stragglers.len() == 1 { "shard" } else { "shards" };
            let _ = write!(text, "; slower than twice the median: {noun} {}", named.join(", "));
            match stragglers.len() - named.len() {
                0 => {}
                more => _ = write!(text, " and {more} more"),
            }
        }
    }
    if report.pinned != 0 {
        let _ = write!(text, "; {} pinned", Count::entries(report.pinned));
    }
    if !report.missing.is_empty() {
        let _ = write!(text, "; missing: {} of {}", report.missing, report.shards);
    }
    text
}

fn shown(milliseconds: u64) -> Elapsed {
    Elapsed(Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(runs: &[(u32, u64)], pinned: u64, missing: &str) -> String {
        describe(&MergeReport {
            shards: 4,
            missing: missing.to_owned(),
            pinned,
            runs: runs.to_vec(),
            ..MergeReport::default()
        })
    }

    #[test]
    fn the_time_of_the_shards_and_stragglers_are_shown() {
        assert_eq!(described(&[(1, 300)], 0, ""), "1 shard merged, which took 0.3 s");
        assert_eq!(
            described(&[(1, 2100), (2, 3400), (3, 2500)], 300, ""),
            "3 shards merged, which took 2.1 s to 3.4 s; 300 entries pinned"
        );
        assert_eq!(
            described(&[(1, 2000), (2, 9000), (3, 2500), (4, 2000)], 1, "2,4"),
            "4 shards merged, which took 2.0 s to 9.0 s; slower than twice the median: shard 2 (9.0 s); 1 entry pinned; missing: 2,4 of 4"
        );
        assert_eq!(described(&[], 0, "1-4"), "0 shards merged; missing: 1-4 of 4");
    }
}
