//! Results for programs: JSON Lines.
//!
//! The objects are types of their own, separate from events and summaries, because their fields and
//! the order of the fields are a promise to users. In strings, every character that could steer a
//! terminal is written as `\u....`.

mod explanation;
mod objects;
#[cfg(test)]
mod schema;
mod write;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

pub(crate) use explanation::write_explanation;
use objects::{
    ActionLine, DriftLine, EntryLine, ErrorLine, FailedLine, FailureObject, InitLine, Line,
    PlanSummaryLine, ReportSummaryLine, ResultLine, SummaryLine, TotalLine, VerifiedLine,
    VerifySummaryLine,
};
use write::{write_line, write_line_to};

use super::console::Console;
use super::names::Names;
use super::tee::Closing;
use crate::event::{Event, Finding, Outcome, Reporter, Summary, Verified};
use crate::failure::Failure;
use crate::manifest::Manifest;
use crate::manifest::entry::{Entry, EntryIndex, Form};
use crate::ops::error::RunError;
use crate::ops::init::Made;
use crate::ops::overview::{Condition, Overview};
use crate::ops::{Drift, Findings, LockReport, MergeReport};
use crate::plan::{Action, Counts, Decision, Plan, Reason, Share, Shares};

/// Prints the results of a command about one manifest as JSON lines.
pub(crate) struct Lines<'a> {
    console: &'a Console,
    names: Names<'a>,
    of: LinesOf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LinesOf {
    Plan,
    Apply,
    Lock,
    Merge,
    Verify,
}

impl<'a> Lines<'a> {
    /// Lines of `apply`.
    #[must_use]
    pub(crate) fn of_apply(console: &'a Console, manifest: &'a Manifest) -> Self {
        Self { console, names: Names::new(manifest), of: LinesOf::Apply }
    }

    /// Lines of `lock`.
    #[must_use]
    pub(crate) fn of_lock(console: &'a Console, manifest: &'a Manifest) -> Self {
        Self { console, names: Names::new(manifest), of: LinesOf::Lock }
    }

    /// Lines of `merge`.
    #[must_use]
    pub(crate) fn of_merge(console: &'a Console, manifest: &'a Manifest) -> Self {
        Self { console, names: Names::new(manifest), of: LinesOf::Merge }
    }

    fn summary(
        &self,
        command: &'static str,
        summary: &Summary,
        pinned: Option<u64>,
        merged: Option<&MergeReport>,
    ) {
        let missing = merged.map(|merged| merged.missing.as_str());
        write_line(
            self.console,
            &Line::Summary(SummaryLine {
                command,
                manifest: self.names.manifest().name(),
                entries: summary.entries,
                downloaded: summary.downloaded,
                updated: summary.updated,
                unchanged: summary.unchanged,
                kept: summary.kept,
                absent: summary.absent,
                pruned: summary.pruned,
                failed: summary.failed,
                skipped: summary.skipped,
                pinned,
                bytes: summary.bytes,
                elapsed_ms: milliseconds(summary.elapsed),
                shards: merged.map(|merged| merged.shards),
                missing: missing.filter(|missing| !missing.is_empty()),
            }),
        );
    }

    /// Lines of `plan`.
    #[must_use]
    pub(crate) fn of_plan(console: &'a Console, manifest: &'a Manifest) -> Self {
        Self { console, names: Names::new(manifest), of: LinesOf::Plan }
    }

    /// Lines of `verify`.
    #[must_use]
    pub(crate) fn of_verify(console: &'a Console, manifest: &'a Manifest) -> Self {
        Self { console, names: Names::new(manifest), of: LinesOf::Verify }
    }

    fn verified(&self, entry: EntryIndex, verified: &Verified) {
        // There is no file, and there should be none.
        if verified.finding == Finding::Absent {
            return;
        }
        let error = verified.failure.as_ref().map(failure_object);
        write_line(
            self.console,
            &Line::Verified(VerifiedLine {
                result: verified.finding.as_str(),
                path: &self.names.path(entry),
                sha256: verified.sha256.map(|sha256| sha256.to_string()),
                error,
            }),
        );
    }

    fn totals(&self, shares: &Shares) {
        let manifest = self.names.manifest();
        let sources = manifest.sources().iter().map(|source| Some(source.name.as_str()));
        let sources = sources.zip(&shares.sources).map(|(source, share)| (source, None, share));
        let others = Some((None, Some(""), &shares.other_hosts));
        let hosts = shares.hosts.iter().map(|(host, share)| (None, Some(host.as_str()), share));
        let is_anything = |(_, _, share): &(_, _, &Share)| share.counts.entries() != 0;
        let sources: Vec<_> = sources.filter(is_anything).collect();
        let hosts: Vec<_> = hosts.chain(others).filter(is_anything).collect();
        // The summary already has the numbers of a single source or host.
        let parts = [sources, hosts].into_iter().filter(|parts| 1 < parts.len());
        for (source, host, share) in parts.flatten() {
            let Counts { fetch, replace, revalidate, keep, absent, prune: _ } = share.counts;
            let line = Line::Total(TotalLine {
                manifest: manifest.name(),
                source,
                host,
                fetch,
                replace,
                revalidate,
                keep,
                absent,
                bytes: share.known_bytes,
                unknown_sizes: share.unknown_sizes,
            });
            write_line(self.console, &line);
        }
    }

    fn action(&self, entry: EntryIndex, decision: Decision, size: Option<u64>) {
        if decision.action == Action::Keep && !self.console.is_verbose() {
            return;
        }
        let entry = self.names.entry(entry);
        write_line(
            self.console,
            &Line::Action(ActionLine {
                action: decision.action.as_str(),
                reason: decision.reason.as_str(),
                source: Some(&entry.source().name),
                path: &path_of(&entry),
                url: Some(&entry.url(Form::Shown)),
                size,
            }),
        );
    }

    fn result(&self, entry: EntryIndex, outcome: &Outcome, attempts: u32, received: u64) {
        if *outcome == Outcome::Kept && !self.console.is_verbose() {
            return;
        }
        let entry = self.names.entry(entry);
        let (delivery, error) = match outcome {
            Outcome::Downloaded(delivery) | Outcome::Updated(delivery) => (Some(delivery), None),
            Outcome::Failed(failure) => (None, Some(failure_object(failure))),
            Outcome::Unchanged | Outcome::Kept | Outcome::Absent | Outcome::Skipped => (None, None),
        };
        write_line(
            self.console,
            &Line::Result(ResultLine {
                outcome: outcome.as_str(),
                source: Some(&entry.source().name),
                path: &path_of(&entry),
                url: Some(&entry.url(Form::Shown)),
                bytes: received,
                size: delivery.map(|delivery| delivery.size),
                sha256: delivery.map(|delivery| delivery.sha256.to_string()),
                attempts,
                error,
            }),
        );
    }

    fn prune(&self, path: &str, reason: Reason) {
        write_line(
            self.console,
            &Line::Action(ActionLine {
                action: Action::Prune.as_str(),
                reason: reason.as_str(),
                source: None,
                path,
                url: None,
                size: None,
            }),
        );
    }

    fn pruned(&self, path: &str) {
        write_line(
            self.console,
            &Line::Result(ResultLine {
                outcome: "pruned",
                source: None,
                path,
                url: None,
                bytes: 0,
                size: None,
                sha256: None,
                attempts: 0,
                error: None,
            }),
        );
    }

    /// Why an entry of a plan would fail, or why its action could not be decided. The entry also
    /// has an action line, so that the actions add up to the entries.
    fn finding(&self, entry: EntryIndex, failure: &Failure) {
        let line = self.names.source(entry).line;
        self.error(Some(line), Some(&self.names.path(entry)), failure);
    }

    fn source_failed(&self, source: usize, failure: &Failure) {
        self.error(Some(self.names.manifest().sources()[source].line), None, failure);
    }

    /// Prints an error about a line of the manifest, or about a path.
    fn error(&self, line: Option<usize>, path: Option<&str>, failure: &Failure) {
        let file = self.file();
        write_line(
            self.console,
            &Line::Error(ErrorLine {
                kind: failure.kind.as_str(),
                message: &failure.message,
                file: Some(&file),
                line,
                path,
                ..ErrorLine::default()
            }),
        );
    }

    fn file(&self) -> String {
        text_of(self.names.manifest().file())
    }
}

impl Reporter for Lines<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Action { entry, decision, size } => self.action(*entry, *decision, *size),
            Event::Finished { entry, outcome, attempts, received } => match (self.of, outcome) {
                (LinesOf::Apply | LinesOf::Lock | LinesOf::Merge, _) => {
                    self.result(*entry, outcome, *attempts, *received);
                }
                (LinesOf::Plan, Outcome::Failed(failure)) => self.finding(*entry, failure),
                (LinesOf::Plan | LinesOf::Verify, _) => {}
            },
            Event::Verified { entry, verified } => self.verified(*entry, verified),
            Event::SourceFailed { source, failure } => self.source_failed(*source, failure),
            Event::Prune { path, reason } if matches!(self.of, LinesOf::Plan) => {
                self.prune(path, *reason);
            }
            Event::Pruned { path } => self.pruned(path),
            Event::Unpruned { path, failure } => self.error(None, path.as_deref(), failure),
            _ => {}
        }
    }
}

impl Closing<Summary> for Lines<'_> {
    fn close(&mut self, summary: &Summary) {
        self.summary("apply", summary, None, None);
    }
}

impl Closing<(Summary, LockReport)> for Lines<'_> {
    fn close(&mut self, (summary, report): &(Summary, LockReport)) {
        self.summary("lock", summary, Some(report.pinned), None);
    }
}

impl Closing<MergeReport> for Lines<'_> {
    fn close(&mut self, report: &MergeReport) {
        self.summary("merge", &report.summary, None, Some(report));
    }
}

/// Prints the line of `report`.
pub(crate) fn write_report(console: &Console, file: &Path, overview: &Overview, bytes: u64) {
    let tally = &overview.tally;
    let of = |condition| tally.of(condition);
    write_line(
        console,
        &Line::ReportSummary(ReportSummaryLine {
            command: "report",
            manifest: &overview.name,
            entries: tally.total(),
            present: tally.present(),
            absent: of(Condition::Absent),
            failed: of(Condition::Failed),
            changed: of(Condition::Differs),
            deleted: of(Condition::Gone),
            untried: of(Condition::Untried),
            file: &file.to_string_lossy(),
            bytes,
        }),
    );
}

/// Prints the line of `lock --check`.
pub(super) fn write_drift(console: &Console, manifest: &Manifest, drift: &Drift) {
    write_line(
        console,
        &Line::Drift(DriftLine {
            command: "lock",
            manifest: manifest.name(),
            pinned: drift.pinned,
            unpinned: drift.unpinned.count,
            differing: drift.differing.count,
            undeclared: drift.undeclared.count,
        }),
    );
}

impl Closing<Findings> for Lines<'_> {
    fn close(&mut self, findings: &Findings) {
        write_line(
            self.console,
            &Line::VerifySummary(VerifySummaryLine {
                command: "verify",
                manifest: self.names.manifest().name(),
                ok: findings.ok,
                modified: findings.modified,
                gone: findings.gone,
                unknown: findings.unknown,
                absent: findings.absent,
                bytes: findings.bytes,
                elapsed_ms: milliseconds(findings.elapsed),
            }),
        );
    }
}

impl Closing<Plan> for Lines<'_> {
    fn close(&mut self, plan: &Plan) {
        let counts = plan.counts();
        if let Some(shares) = plan.shares() {
            self.totals(shares);
        }
        write_line(
            self.console,
            &Line::PlanSummary(PlanSummaryLine {
                command: "plan",
                manifest: self.names.manifest().name(),
                entries: counts.entries(),
                fetch: counts.fetch,
                replace: counts.replace,
                revalidate: counts.revalidate,
                keep: counts.keep,
                absent: counts.absent,
                prune: counts.prune,
            }),
        );
    }
}

/// Prints the line of `init`.
pub(crate) fn write_made(console: &Console, file: &Path, made: &Made) {
    let Made { sources, entries, ref notes, .. } = *made;
    let file = file.to_string_lossy();
    write_line(console, &Line::Init(InitLine { file: &file, sources, entries, notes }));
}

/// Prints the line of `list` about an entry.
pub(crate) fn write_entry(console: &Console, entry: &Entry<'_>, sha256: Option<String>) {
    let mirrors: Vec<_> =
        (1..entry.places()).map(|place| entry.candidate(0, place, Form::Shown)).collect();
    write_line(
        console,
        &Line::Entry(EntryLine {
            source: &entry.source().name,
            path: &path_of(entry),
            url: &entry.url(Form::Shown),
            mirrors: &mirrors,
            sha256,
        }),
    );
}

/// Writes the line of `--failed` about an entry. Without a failure, the entry was skipped.
pub(super) fn write_failed(
    out: &mut dyn Write,
    manifest: &str,
    entry: &Entry<'_>,
    failure: Option<&Failure>,
) -> io::Result<()> {
    let line = Line::Failed(FailedLine {
        manifest,
        source: &entry.source().name,
        path: &path_of(entry),
        url: &entry.url(Form::Shown),
        outcome: if failure.is_some() { "failed" } else { "skipped" },
        error: failure.map(failure_object),
    });
    write_line_to(out, &line)
}

/// Prints the lines about an error: one for each problem of a manifest.
pub(super) fn write_error(console: &Console, error: &RunError) {
    if let RunError::Lock(problem) = error {
        return write_line(
            console,
            &Line::Error(ErrorLine {
                kind: error.kind(),
                message: &problem.message,
                file: Some(&text_of(&problem.file)),
                line: problem.line,
                ..ErrorLine::default()
            }),
        );
    }
    let RunError::Manifest(problems) = error else {
        return write_plain_error(console, error.kind(), &error.to_string());
    };
    for problem in problems.iter() {
        write_line(
            console,
            &Line::Error(ErrorLine {
                kind: error.kind(),
                message: &problem.message,
                file: Some(&text_of(&problem.file)),
                line: Some(problem.line),
                column: Some(problem.column),
                ..ErrorLine::default()
            }),
        );
    }
}

/// Prints the line about an error without a place in a file.
pub(super) fn write_plain_error(console: &Console, kind: &str, message: &str) {
    write_line(console, &Line::Error(ErrorLine { kind, message, ..ErrorLine::default() }));
}

fn failure_object(failure: &Failure) -> FailureObject<'_> {
    let Failure { kind, status, message, .. } = failure;
    FailureObject { kind: kind.as_str(), status: *status, message }
}

fn milliseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

fn path_of(entry: &Entry<'_>) -> String {
    let mut path = String::new();
    entry.write_path(&mut path);
    path
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
