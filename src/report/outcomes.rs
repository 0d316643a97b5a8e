//! The results of `apply` for people: a summary at the end, and with `-v` a line per entry.

use std::fmt::Write as _;

use super::console::Console;
use super::escape::Untrusted;
use super::figures::Figures;
use super::names::Names;
use super::table::{Table, count};
use super::tee::Closing;
use super::text::wrap;
use super::units::{Bytes, Count, Elapsed, Rate};
use crate::event::{Event, Outcome, Reporter, Summary};
use crate::manifest::entry::EntryIndex;
use crate::manifest::{Manifest, Shard};
use crate::plan::Counts;

/// Prints the outcomes of the entries of one manifest.
pub(crate) struct Outcomes<'a> {
    console: &'a Console,
    names: Names<'a>,
    shard: Option<Shard>,
    planned: Option<Counts>,
    /// Outcomes by source, without the entries that were kept without a request.
    sources: Vec<Summary>,
}

impl<'a> Outcomes<'a> {
    /// A reporter that prints to `console`.
    #[must_use]
    pub(crate) fn new(console: &'a Console, manifest: &'a Manifest) -> Self {
        let sources = vec![Summary::default(); manifest.sources().len()];
        Self { console, names: Names::new(manifest), shard: None, planned: None, sources }
    }

    /// The outcomes of one shard.
    #[must_use]
    pub(crate) fn of_shard(self, shard: Option<Shard>) -> Self {
        Self { shard, ..self }
    }

    pub(super) fn console(&self) -> &'a Console {
        self.console
    }

    pub(super) fn manifest(&self) -> &'a Manifest {
        self.names.manifest()
    }

    fn name(&self) -> Untrusted<'a> {
        Untrusted(self.names.manifest().name())
    }

    /// `, shard 3/16`; empty for a run over all entries.
    fn shown_shard(&self) -> String {
        self.shard.map_or(String::new(), |shard| format!(", shard {shard}"))
    }

    fn print_plan(&mut self, figures: &Figures) {
        self.planned = Some(figures.counts);
        let bold = self.console.err_paint().bold();
        let dest = self.names.manifest().shown_dest();
        self.console.remark(&format!(
            "{bold}{}{bold:#}{} -> {}\n{}\n",
            self.name(),
            self.shown_shard(),
            Untrusted(dest),
            wrap(&figures.describe(|_| None), self.console.err_width())
        ));
    }

    /// The table of outcomes by source.
    fn table(&self) -> String {
        let columns =
            ["downloaded", "updated", "unchanged", "absent", "failed", "skipped", "transferred"];
        let mut table = Table::new("source", columns);
        for (source, summary) in self.manifest().sources().iter().zip(&self.sources) {
            let counts = [
                summary.downloaded,
                summary.updated,
                summary.unchanged,
                summary.absent,
                summary.failed,
                summary.skipped,
            ];
            if counts.into_iter().sum::<u64>() == 0 {
                continue;
            }
            let bytes = summary.bytes;
            let bytes = if bytes == 0 { String::new() } else { Bytes(bytes).to_string() };
            table.add(&source.name, counts.into_iter().map(count).chain([bytes]).collect());
        }
        table.render(self.console.out_paint())
    }

    fn line(&self, entry: EntryIndex, outcome: &Outcome) -> String {
        let paint = self.console.out_paint();
        let (symbol, style) = match outcome {
            Outcome::Downloaded(_) => ('+', paint.added()),
            Outcome::Updated(_) => ('~', paint.changed()),
            Outcome::Unchanged | Outcome::Kept => ('=', paint.dim()),
            Outcome::Absent => ('.', paint.dim()),
            Outcome::Failed(_) => ('!', paint.error()),
            Outcome::Skipped => ('-', paint.dim()),
        };
        let path = self.names.path(entry);
        let mut line =
            format!("  {style}{symbol} {:<10}{style:#}  {}", outcome.as_str(), Untrusted(&path));
        let _ = match outcome {
            Outcome::Downloaded(delivery) | Outcome::Updated(delivery) => {
                write!(line, "  {}", Bytes(delivery.size))
            }
            Outcome::Failed(failure) => write!(line, "  {}", Untrusted(&failure.message)),
            _ => Ok(()),
        };
        line.push('\n');
        line
    }
}

impl Reporter for Outcomes<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Planned { counts, known_bytes, unknown_sizes } => {
                let (known_bytes, unknown_sizes) = (*known_bytes, *unknown_sizes);
                self.print_plan(&Figures {
                    counts: *counts,
                    conflicts: 0,
                    known_bytes,
                    unknown_sizes,
                });
            }
            Event::Finished { entry, outcome, received, .. } => {
                self.sources[self.names.source_index(*entry)].count(outcome, *received);
                if self.console.is_verbose() {
                    self.console.result(&self.line(*entry, outcome));
                }
            }
            Event::Pruned { path } if self.console.is_verbose() => {
                let style = self.console.out_paint().error();
                let line = format!("  {style}- {:<10}{style:#}  {}\n", "pruned", Untrusted(path));
                self.console.result(&line);
            }
            _ => {}
        }
    }
}

impl Closing<Summary> for Outcomes<'_> {
    fn close(&mut self, summary: &Summary) {
        if self.console.is_quiet() {
            return;
        }
        let table = self.table();
        if !table.is_empty() {
            self.console.result(&format!("{table}\n"));
        }
        let bold = self.console.out_paint().bold();
        let account = describe(summary, self.planned.as_ref());
        let name = self.name().escaped();
        let line = format!("{name}{}: {account}", self.shown_shard());
        let line = wrap(&line, self.console.out_width());
        // `wrap` may break the line, but never before its first word.
        let account = line.strip_prefix(&*name).unwrap_or(&line);
        self.console.result(&format!("{bold}{name}{bold:#}{account}\n"));
    }
}

/// `2 updated, 300 unchanged, 36 absent in 0.9 s (1.2 MB at 1.3 MB/s)`
fn describe(summary: &Summary, planned: Option<&Counts>) -> String {
    let counts = [
        (summary.downloaded, "downloaded"),
        (summary.updated, "updated"),
        (summary.unchanged, "unchanged"),
        (summary.kept, "kept"),
        (summary.absent, "absent"),
        (summary.pruned, "pruned"),
        (summary.failed.saturating_sub(summary.interrupted), "failed"),
        (summary.interrupted, "interrupted"),
        (summary.skipped, "skipped"),
    ];
    let nothing_asked =
        planned.is_some_and(|counts| counts.fetch + counts.replace + counts.revalidate == 0);
    if nothing_asked && summary.pruned + summary.failed + summary.skipped == 0 {
        let absent = match summary.absent {
            0 => String::new(),
            absent => format!(" ({absent} absent)"),
        };
        return format!("{}{absent}, nothing to do", Count::entries(summary.entries));
    }
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| 0 < *count)
        .map(|(count, outcome)| format!("{count} {outcome}"))
        .collect();
    let counts = if counts.is_empty() { Count::entries(0).to_string() } else { counts.join(", ") };
    let mut text = format!("{counts} in {}", Elapsed(summary.elapsed));
    if 0 < summary.bytes {
        let _ = write!(
            text,
            " ({} at {})",
            Bytes(summary.bytes),
            Rate::of(summary.bytes, summary.elapsed)
        );
    }
    if 0 < summary.resumed {
        let _ = write!(text, "; {} were here already", Bytes(summary.resumed));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::digest::Digest;
    use crate::event::Delivery;
    use crate::failure::{ErrorKind, Failure};
    use crate::report::testing::{Captured, ONE_SOURCE, manifest};
    use crate::report::{Settings, Verbosity, When};

    fn summary() -> Summary {
        Summary {
            entries: 338,
            updated: 2,
            unchanged: 300,
            absent: 36,
            bytes: 1_200_000,
            elapsed: Duration::from_millis(940),
            ..Summary::default()
        }
    }

    #[test]
    fn the_summary_leaves_zeros_out() {
        assert_eq!(
            describe(&summary(), None),
            "2 updated, 300 unchanged, 36 absent in 0.9 s (1.2 MB at 1.3 MB/s)"
        );
        let failed = Summary {
            entries: 3,
            failed: 2,
            skipped: 1,
            elapsed: Duration::from_secs(75),
            ..Summary::default()
        };
        assert_eq!(describe(&failed, None), "2 failed, 1 skipped in 1 min 15 s");
    }

    #[test]
    fn a_run_without_work_says_nothing_to_do() {
        let nothing = Counts { keep: 338, ..Counts::default() };
        let kept = Summary { entries: 338, kept: 338, ..Summary::default() };
        assert_eq!(describe(&kept, Some(&nothing)), "338 entries, nothing to do");
        let some_absent = Summary { entries: 338, kept: 300, absent: 38, ..Summary::default() };
        assert_eq!(
            describe(&some_absent, Some(&nothing)),
            "338 entries (38 absent), nothing to do"
        );
        let one = Summary { entries: 1, kept: 1, ..Summary::default() };
        assert_eq!(describe(&one, Some(&nothing)), "1 entry, nothing to do");
        assert_eq!(describe(&Summary::default(), None), "0 entries in 0.0 s");
    }

    fn script() -> Vec<Event> {
        let delivery = Delivery { size: 345_678, sha256: Digest::of(b"") };
        let outcomes = [
            Outcome::Downloaded(delivery.clone()),
            Outcome::Updated(delivery),
            Outcome::Unchanged,
            Outcome::Kept,
            Outcome::Absent,
            Outcome::Failed(Failure::new(
                ErrorKind::Tls,
                "the certificate of `a\u{1b}.example` has expired",
            )),
            Outcome::Skipped,
        ];
        let counts = Counts { fetch: 4, replace: 1, revalidate: 1, keep: 1, ..Counts::default() };
        let mut events = vec![Event::Planned { counts, known_bytes: 0, unknown_sizes: 6 }];
        events.extend((0..).zip(outcomes).map(|(index, outcome)| Event::Finished {
            entry: EntryIndex(index),
            outcome,
            attempts: 1,
            received: 0,
        }));
        events
    }

    fn captured(settings: Settings) -> Captured {
        captured_of(settings, None)
    }

    fn captured_of(settings: Settings, shard: Option<Shard>) -> Captured {
        let manifest = manifest(ONE_SOURCE);
        let captured = Captured::new(settings, Some(80));
        let mut outcomes = Outcomes::new(&captured.console, &manifest).of_shard(shard);
        for event in script() {
            outcomes.event(&event);
        }
        outcomes.close(&summary());
        captured
    }

    #[test]
    fn the_plan_goes_to_stderr_and_the_summary_to_stdout() {
        let captured = captured(Settings::default());
        assert_snapshot!(captured.err(), @r"
        natgeo -> ../mirror/natgeo
        7 entries: 4 to fetch, 1 to replace, 1 to revalidate, 1 to keep, sizes unknown
        ");
        assert_snapshot!(captured.out(), @r"
        natgeo: 2 updated, 300 unchanged, 36 absent in 0.9 s (1.2 MB at 1.3 MB/s)
        ");
    }

    #[test]
    fn a_shard_is_named() {
        let captured = captured_of(Settings::default(), Shard::new(3, 16).ok());
        assert!(captured.err().starts_with("natgeo, shard 3/16 -> ../mirror/natgeo\n"));
        assert!(captured.out().starts_with("natgeo, shard 3/16: 2 updated, 300 "));
    }

    #[test]
    fn verbose_gives_each_outcome_a_line() {
        let captured = captured(Settings { verbosity: Verbosity::Verbose, ..Settings::default() });
        assert_snapshot!(captured.out(), @r"
          + downloaded  0817-1.jpg  345.7 kB
          ~ updated     0817-2.jpg  345.7 kB
          = unchanged   0817-3.jpg
          = kept        0817-4.jpg
          . absent      0817-5.jpg
          ! failed      0817-6.jpg  the certificate of `a\u{1b}.example` has expired
          - skipped     0817-7.jpg
        natgeo: 2 updated, 300 unchanged, 36 absent in 0.9 s (1.2 MB at 1.3 MB/s)
        ");
    }

    #[test]
    fn quiet_prints_nothing() {
        let captured = captured(Settings { verbosity: Verbosity::Quiet, ..Settings::default() });
        assert_eq!((captured.out(), captured.err()), (String::new(), String::new()));
    }

    #[test]
    fn colour_does_not_change_the_text() {
        let verbose = Settings { verbosity: Verbosity::Verbose, ..Settings::default() };
        let colored = captured(Settings { color: When::Always, ..verbose }).out();
        assert!(colored.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), captured(verbose).out());
    }
}
