//! The output of `plan` for people: the action for each file, and the reason.

use std::collections::BTreeMap;

use anstyle::Style;

use super::console::Console;
use super::escape::Untrusted;
use super::figures::Figures;
use super::names::Names;
use super::shares;
use super::tee::Closing;
use super::text::{Paint, fit, width_of, wrap};
use crate::event::{Event, Outcome, Reporter};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Manifest;
use crate::manifest::entry::EntryIndex;
use crate::plan::{Action, Counts, Decision, Plan, Reason};

/// Prints the plan of one manifest: a short list by source, or with `-v` every entry.
pub(crate) struct Listing<'a> {
    console: &'a Console,
    names: Names<'a>,
    /// The last action. It is printed at the next event, which may say that it has a path conflict.
    waiting: Option<(EntryIndex, Decision)>,
    kinds: BTreeMap<Kind, Listed>,
    /// Lines about files to prune.
    prunes: Vec<String>,
    figures: Figures,
    headed: bool,
    source: Option<usize>,
    column: usize,
}

/// Kinds of lines, in the order in which they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Fetch,
    Replace,
    Revalidate,
    Keep,
    Absent,
    Conflict,
}

/// The entries of one kind.
#[derive(Debug, Default)]
struct Listed {
    lines: Vec<(EntryIndex, String)>,
    count: u64,
    /// The reason of the first entry.
    reason: Option<String>,
    several_reasons: bool,
}

/// Number of lines that are printed per kind without `-v`.
const SHOWN: usize = 20;
/// Widest path column. A longer path pushes its reason to the right.
const MOST_COLUMN: usize = 60;
/// Columns before the path: indent, symbol and action.
const BEFORE_PATH: usize = 16;

impl Kind {
    fn of(action: Action) -> Self {
        match action {
            Action::Fetch => Self::Fetch,
            Action::Replace => Self::Replace,
            Action::Revalidate => Self::Revalidate,
            Action::Keep => Self::Keep,
            // Files to prune are not entries: they arrive as `Event::Prune`.
            Action::Absent | Action::Prune => Self::Absent,
        }
    }

    fn symbol_and_word(self) -> (char, &'static str) {
        match self {
            Self::Fetch => ('+', "fetch"),
            Self::Replace => ('~', "replace"),
            Self::Revalidate => ('?', "revalidate"),
            Self::Keep => ('=', "keep"),
            Self::Absent => ('.', "absent"),
            Self::Conflict => ('!', "conflict"),
        }
    }

    fn style(self, paint: Paint) -> Style {
        match self {
            Self::Fetch => paint.added(),
            Self::Replace => paint.changed(),
            Self::Revalidate => paint.note(),
            Self::Keep | Self::Absent => paint.dim(),
            Self::Conflict => paint.error(),
        }
    }
}

impl<'a> Listing<'a> {
    /// A reporter that prints to `console`.
    #[must_use]
    pub(crate) fn new(console: &'a Console, manifest: &'a Manifest) -> Self {
        Self {
            console,
            names: Names::new(manifest),
            waiting: None,
            kinds: BTreeMap::new(),
            prunes: Vec::new(),
            figures: Figures::default(),
            headed: false,
            source: None,
            column: 0,
        }
    }

    fn settle(&mut self) {
        if let Some((entry, decision)) = self.waiting.take() {
            self.take(entry, Kind::of(decision.action), describe_reason(decision.reason));
        }
    }

    fn conflict(&mut self, entry: EntryIndex, failure: &Failure) {
        self.waiting.take_if(|(waiting, _)| *waiting == entry);
        self.settle();
        self.figures.conflicts += 1;
        self.take(entry, Kind::Conflict, &failure.message);
    }

    fn take(&mut self, entry: EntryIndex, kind: Kind, reason: &str) {
        if self.console.is_quiet() {
            return;
        }
        if self.console.is_verbose() {
            self.head();
            self.head_source(entry);
            let line = self.line(entry, kind, Some(reason));
            self.console.result(&line);
            return;
        }
        let listed = self.kinds.entry(kind).or_default();
        listed.count += 1;
        match &listed.reason {
            Some(common) if common != reason => listed.several_reasons = true,
            Some(_) => {}
            None => listed.reason = Some(reason.to_owned()),
        }
        if listed.lines.len() < SHOWN && kind != Kind::Keep && kind != Kind::Absent {
            listed.lines.push((entry, reason.to_owned()));
        }
    }

    fn head(&mut self) {
        if !std::mem::replace(&mut self.headed, true) {
            let manifest = self.names.manifest();
            let bold = self.console.out_paint().bold();
            let dest = manifest.shown_dest();
            self.console.result(&format!(
                "{bold}{}{bold:#} -> {}\n",
                Untrusted(manifest.name()),
                Untrusted(dest)
            ));
        }
    }

    /// Prints the name of the source if it changed, unless the manifest has only one source.
    fn head_source(&mut self, entry: EntryIndex) {
        let source = self.names.source_index(entry);
        if self.source.replace(source) == Some(source) {
            return;
        }
        let sources = self.names.manifest().sources();
        if 1 < sources.len() {
            self.console.result(&format!(" {}\n", Untrusted(&sources[source].name)));
        }
    }

    fn line(&mut self, entry: EntryIndex, kind: Kind, reason: Option<&str>) -> String {
        let (symbol, word) = kind.symbol_and_word();
        let style = kind.style(self.console.out_paint());
        let path = self.names.path(entry);
        let path = Untrusted(&path).escaped();
        let before = format!("  {style}{symbol} {word:<10}{style:#}  ");
        let Some(reason) = reason else {
            let room = self
                .console
                .out_width()
                .map_or(usize::MAX, |width| width.saturating_sub(BEFORE_PATH));
            return format!("{before}{}\n", fit(&path, room));
        };
        let reason = Untrusted(reason).escaped();
        let room = self.console.out_width().map_or(usize::MAX, |width| {
            width.saturating_sub(BEFORE_PATH + 2 + width_of(&reason)).max(12)
        });
        let path = fit(&path, room);
        self.column = self.column.max(width_of(&path).min(MOST_COLUMN)).min(room);
        let padding = " ".repeat(self.column.saturating_sub(width_of(&path)));
        format!("{before}{path}{padding}  {reason}\n")
    }

    /// Prints a file to prune, or keeps its line: without `-v`, these come after all entries.
    fn prune(&mut self, path: &str) {
        self.settle();
        let style = self.console.out_paint().error();
        let line = format!("  {style}- {:<10}{style:#}  {}\n", "prune", Untrusted(path));
        if self.console.is_verbose() {
            self.head();
            self.console.result(&line);
        } else {
            self.prunes.push(line);
        }
    }

    /// Prints the short list, sorted by source, kind and entry.
    fn list(&mut self) {
        let mut kinds = std::mem::take(&mut self.kinds);
        let mut lines: Vec<_> = kinds
            .iter_mut()
            .flat_map(|(&kind, listed)| {
                let common = listed.common_reason().is_some();
                std::mem::take(&mut listed.lines)
                    .into_iter()
                    .map(move |(entry, reason)| (kind, entry, (!common).then_some(reason)))
            })
            .map(|(kind, entry, reason)| (self.names.source_index(entry), kind, entry, reason))
            .collect();
        lines.sort_by_key(|&(source, kind, entry, _)| (source, kind, entry));
        let longest = lines.iter().filter(|(.., reason)| reason.is_some());
        let longest = longest
            .map(|&(_, _, entry, _)| width_of(&Untrusted(&self.names.path(entry)).escaped()))
            .max();
        self.column = longest.unwrap_or(0).min(MOST_COLUMN);
        for (_, kind, entry, reason) in lines {
            self.head_source(entry);
            let line = self.line(entry, kind, reason.as_deref());
            self.console.result(&line);
        }
        for (&kind, listed) in &kinds {
            let hidden = listed.count.saturating_sub(SHOWN as u64);
            if 0 < hidden && kind != Kind::Keep && kind != Kind::Absent {
                let what = match kind {
                    Kind::Conflict => "in conflict",
                    _ => &format!("to {}", kind.symbol_and_word().1),
                };
                self.console.result(&format!("  ... and {hidden} more {what} (-v lists all)\n"));
            }
        }
        for line in self.prunes.iter().take(SHOWN) {
            self.console.result(line);
        }
        let hidden = self.prunes.len().saturating_sub(SHOWN);
        if 0 < hidden {
            self.console.result(&format!("  ... and {hidden} more to prune (-v lists all)\n"));
        }
        self.kinds = kinds;
    }

    fn summary(&self, counts: Counts) -> String {
        let figures = Figures { counts, ..self.figures };
        figures.describe(|action| self.kinds.get(&Kind::of(action))?.common_reason())
    }
}

impl Listed {
    /// The reason that several entries have in common. It is printed once, in the summary.
    fn common_reason(&self) -> Option<&str> {
        let common = 1 < self.count && !self.several_reasons;
        self.reason.as_deref().filter(|_| common)
    }
}

impl Reporter for Listing<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Action { entry, decision, .. } => {
                self.settle();
                self.waiting = Some((*entry, *decision));
            }
            Event::Finished { entry, outcome: Outcome::Failed(failure), .. }
                if failure.kind == ErrorKind::PathConflict =>
            {
                self.conflict(*entry, failure);
            }
            Event::Planned { known_bytes, unknown_sizes, .. } => {
                self.figures.known_bytes = *known_bytes;
                self.figures.unknown_sizes = *unknown_sizes;
            }
            Event::Prune { path, .. } => self.prune(path),
            _ => {}
        }
    }
}

impl Closing<Plan> for Listing<'_> {
    fn close(&mut self, plan: &Plan) {
        self.settle();
        if self.console.is_quiet() {
            return;
        }
        self.head();
        self.list();
        if let Some(shares) = plan.shares() {
            let (manifest, paint) = (self.names.manifest(), self.console.out_paint());
            let tables = shares::render(shares, manifest, paint);
            if !tables.is_empty() {
                self.console.result(&format!("{tables}\n"));
            }
        }
        let summary = format!("{}.", self.summary(plan.counts()));
        self.console.result(&format!("{}\n", wrap(&summary, self.console.out_width())));
    }
}

/// The text of a reason.
fn describe_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::NotOnDisk => "not on disk",
        Reason::Unexpected => "unexpected content",
        Reason::SizeDiffers => "size differs",
        Reason::DigestDiffers => "digest differs",
        Reason::ModifiedLocally => "modified locally",
        Reason::UrlChanged => "URL changed",
        Reason::Forced => "forced",
        Reason::Stale => "stale",
        Reason::Fresh => "fresh",
        Reason::Pinned => "pinned",
        Reason::Adopted => "adopted",
        Reason::MissingUpstream => "missing upstream",
        Reason::NotInManifest => "not in the manifest",
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::plan::{Obstacle, Step};
    use crate::report::testing::{Captured, ONE_SOURCE, WALLPAPERS, manifest};
    use crate::report::{Settings, Verbosity};

    /// Sends a listing the events that the planner sends for these steps. Returns its output.
    fn listed(
        yaml: &str,
        steps: &[(u64, Step)],
        verbosity: Verbosity,
        width: Option<usize>,
    ) -> String {
        let manifest = manifest(yaml);
        let captured = Captured::new(Settings { verbosity, ..Settings::default() }, width);
        let mut listing = Listing::new(&captured.console, &manifest);
        let mut plan = Plan::with_bound(manifest.entries().bound());
        for &(index, step) in steps {
            let entry = EntryIndex(index);
            plan.set(entry, step);
            match step {
                Step::None => {}
                Step::Do(decision) => {
                    if decision.action != Action::Keep || verbosity == Verbosity::Verbose {
                        listing.event(&Event::Action { entry, decision, size: None });
                    }
                }
                Step::Obstructed(obstacle) => {
                    let decision = Decision::new(Action::Fetch, Reason::NotOnDisk);
                    listing.event(&Event::Action { entry, decision, size: None });
                    let outcome =
                        Outcome::Failed(Failure::new(ErrorKind::PathConflict, obstacle.describe()));
                    listing.event(&Event::Finished { entry, outcome, attempts: 0, received: 0 });
                }
            }
        }
        let counts = plan.counts();
        let unknown_sizes = counts.fetch + counts.replace;
        listing.event(&Event::Planned { counts, known_bytes: 0, unknown_sizes });
        listing.close(&plan);
        assert_eq!(captured.err(), "");
        captured.out()
    }

    fn step(action: Action, reason: Reason) -> Step {
        Step::Do(Decision::new(action, reason))
    }

    fn mixed() -> Vec<(u64, Step)> {
        vec![
            (0, step(Action::Fetch, Reason::NotOnDisk)),
            (1, step(Action::Keep, Reason::Fresh)),
            (2, step(Action::Replace, Reason::ModifiedLocally)),
            (3, step(Action::Replace, Reason::UrlChanged)),
            (4, Step::Obstructed(Obstacle::Symlink)),
            (5, step(Action::Absent, Reason::MissingUpstream)),
            (6, step(Action::Revalidate, Reason::Stale)),
            (7, step(Action::Revalidate, Reason::Stale)),
            (340, step(Action::Fetch, Reason::NotOnDisk)),
        ]
    }

    #[test]
    fn a_first_run() {
        let steps: Vec<_> =
            (0..338).map(|index| (index, step(Action::Fetch, Reason::NotOnDisk))).collect();
        assert_snapshot!(listed(ONE_SOURCE, &steps, Verbosity::Normal, Some(80)), @r"
        natgeo -> ../mirror/natgeo
          + fetch       0817-1.jpg
          + fetch       0817-2.jpg
          + fetch       0817-3.jpg
          + fetch       0817-4.jpg
          + fetch       0817-5.jpg
          + fetch       0817-6.jpg
          + fetch       0817-7.jpg
          + fetch       0817-8.jpg
          + fetch       0817-9.jpg
          + fetch       0817-10.jpg
          + fetch       0817-11.jpg
          + fetch       0817-12.jpg
          + fetch       0817-13.jpg
          + fetch       0817-14.jpg
          + fetch       0817-15.jpg
          + fetch       0817-16.jpg
          + fetch       0817-17.jpg
          + fetch       0817-18.jpg
          + fetch       0817-19.jpg
          + fetch       0817-20.jpg
          ... and 318 more to fetch (-v lists all)
        338 entries: 338 to fetch (not on disk), sizes unknown.
        ");
    }

    #[test]
    fn one_of_each() {
        assert_snapshot!(listed(WALLPAPERS, &mixed(), Verbosity::Normal, Some(80)), @r"
        natgeo -> ../mirror/natgeo
         wallpapers
          + fetch       0817-1.jpg
          ~ replace     0817-3.jpg  modified locally
          ~ replace     0817-4.jpg  URL changed
          ? revalidate  0817-7.jpg
          ? revalidate  0817-8.jpg
          ! conflict    0817-5.jpg  a symbolic link stands at this path
         posters
          + fetch       poster-3.png
        9 entries: 2 to fetch (not on disk), 2 to replace, 2 to revalidate (stale),
            1 to keep, 1 absent, 1 conflict, sizes unknown.
        ");
    }

    #[test]
    fn verbose_lists_every_entry_as_it_comes() {
        assert_snapshot!(listed(WALLPAPERS, &mixed(), Verbosity::Verbose, None), @r"
        natgeo -> ../mirror/natgeo
         wallpapers
          + fetch       0817-1.jpg  not on disk
          = keep        0817-2.jpg  fresh
          ~ replace     0817-3.jpg  modified locally
          ~ replace     0817-4.jpg  URL changed
          ! conflict    0817-5.jpg  a symbolic link stands at this path
          . absent      0817-6.jpg  missing upstream
          ? revalidate  0817-7.jpg  stale
          ? revalidate  0817-8.jpg  stale
         posters
          + fetch       poster-3.png  not on disk
        9 entries: 2 to fetch, 2 to replace, 2 to revalidate, 1 to keep, 1 absent, 1 conflict, sizes unknown.
        ");
    }

    #[test]
    fn nothing_to_do() {
        let steps: Vec<_> =
            (0..338).map(|index| (index, step(Action::Keep, Reason::Fresh))).collect();
        assert_snapshot!(listed(ONE_SOURCE, &steps, Verbosity::Normal, Some(80)), @r"
        natgeo -> ../mirror/natgeo
        338 entries: nothing to do.
        ");
    }

    #[test]
    fn paths_are_cut_only_for_a_terminal() {
        let yaml = ONE_SOURCE.replace(
            "0817-",
            "a-name-that-is-so-long-that-no-terminal-of-eighty-columns-has-room-for-it-",
        );
        let steps = [
            (0, step(Action::Fetch, Reason::NotOnDisk)),
            (1, step(Action::Replace, Reason::UrlChanged)),
        ];
        let on_terminal = listed(&yaml, &steps, Verbosity::Normal, Some(80));
        assert!(on_terminal.lines().all(|line| width_of(line) <= 80));
        assert_snapshot!(on_terminal, @r"
        natgeo -> ../mirror/natgeo
          + fetch       a-name-that-is-so-long-th…mns-has-room-for-it-1.jpg  not on disk
          ~ replace     a-name-that-is-so-long-th…mns-has-room-for-it-2.jpg  URL changed
        2 entries: 1 to fetch, 1 to replace, sizes unknown.
        ");
        assert!(!listed(&yaml, &steps, Verbosity::Normal, None).contains('…'));
    }

    #[test]
    fn quiet_lists_nothing() {
        assert_eq!(listed(WALLPAPERS, &mixed(), Verbosity::Quiet, None), "");
    }
}
