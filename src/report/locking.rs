//! The results of `lock` and `lock --check` for people.

use std::fmt::Write as _;

use super::annotations::annotate_drift;
use super::console::Console;
use super::escape::Untrusted;
use super::json::write_drift;
use super::outcomes::Outcomes;
use super::tee::Closing;
use super::text::wrap;
use super::units::Count;
use crate::event::Summary;
use crate::manifest::Manifest;
use crate::ops::{Drift, LockReport};

impl Closing<(Summary, LockReport)> for Outcomes<'_> {
    fn close(&mut self, (summary, report): &(Summary, LockReport)) {
        self.close(summary);
        if self.console().is_quiet() {
            return;
        }
        let name = Untrusted(self.manifest().name()).escaped();
        let line = format!("{name}.lock: {}", describe(report));
        self.console().result(&format!("{}\n", wrap(&line, self.console().out_width())));
    }
}

/// `338 entries pinned, 300 of them now: 20 as published upstream, 280 on first use`
fn describe(report: &LockReport) -> String {
    let new = report.published + report.first_use + report.missing;
    let mut text = format!("{} pinned", Count::entries(report.pinned));
    if 0 < new {
        let how: Vec<_> = [
            (report.published, "as published upstream"),
            (report.first_use, "on first use"),
            (report.missing, "as missing"),
        ]
        .iter()
        .filter(|(count, _)| 0 < *count)
        .map(|(count, how)| format!("{count} {how}"))
        .collect();
        let _ = write!(text, ", {new} of them now: {}", how.join(", "));
    }
    for (count, what) in [(report.changed, "changed"), (report.dropped, "dropped")] {
        if 0 < count {
            let _ = write!(text, "; {count} {what}");
        }
    }
    text
}

/// Prints how a lock and its manifest differ.
pub(crate) fn print_drift(console: &Console, manifest: &Manifest, drift: &Drift) {
    if drift.is_some() {
        let file = crate::pin::lock::file_of(manifest.file());
        annotate_drift(console, &file, manifest, &differences(drift).join("\n"));
    }
    if console.is_json() {
        return write_drift(console, manifest, drift);
    }
    if console.is_quiet() {
        return;
    }
    let name = Untrusted(manifest.name()).escaped();
    if !drift.is_some() {
        let entries = Count::entries(drift.pinned);
        return console.result(&format!("{name}.lock: {entries} pinned, nothing to change\n"));
    }
    for difference in differences(drift) {
        let line = wrap(&format!("{name}.lock: {difference}"), console.out_width());
        console.result(&format!("{line}\n"));
    }
}

fn differences(drift: &Drift) -> Vec<String> {
    let named = [
        (&drift.unpinned, "not pinned"),
        (&drift.differing, "pinned differently than the manifest states"),
        (&drift.undeclared, "pinned but not declared"),
    ];
    let named = named.iter().filter(|(named, _)| 0 < named.count).map(|(named, what)| {
        let paths = named.to_string();
        format!("{} {what}: {}", Count::entries(named.count), Untrusted(&paths))
    });
    let untidy = drift.untidy.then(|| "its lines are not as natsync writes them".to_owned());
    named.chain(untidy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_new_pins_by_their_origin() {
        let report = LockReport { pinned: 338, ..LockReport::default() };
        assert_eq!(describe(&report), "338 entries pinned");
        let report = LockReport {
            pinned: 338,
            published: 20,
            first_use: 280,
            missing: 38,
            changed: 3,
            dropped: 1,
            lost: 0,
        };
        assert_eq!(
            describe(&report),
            "338 entries pinned, 338 of them now: 20 as published upstream, 280 on first use, 38 as missing; 3 changed; 1 dropped"
        );
    }
}
