//! Annotations for GitHub Actions, which shows them beside the lines of a manifest.

use std::path::Path;

use super::console::Console;
use super::ended::{Account, Ended, EndedWith};
use super::escape::Untrusted;
use super::names::Names;
use super::tee::Closing;
use super::troubles::{Trouble, Troubles};
use super::units::Count;
use super::warnings::warning;
use super::workflow::{Annotation, Level, MOST, cut};
use crate::event::{Event, Reporter};
use crate::failure::ErrorKind;
use crate::manifest::Manifest;
use crate::ops::error::{ExitStatus, RunError};
use crate::plan::Counts;

/// The annotations of a command about one manifest.
///
/// Warnings are written at once. Failures are written at the end, one annotation per group, because
/// GitHub shows only ten annotations per step.
pub(crate) struct Annotations<'a> {
    console: &'a Console,
    troubles: Troubles<'a>,
}

/// Longer paths and messages are cut, in bytes: GitHub accepts 4 KiB per annotation.
const LONGEST: usize = 600;

impl<'a> Annotations<'a> {
    /// Annotations in the output of `console`. `None` outside of GitHub Actions.
    #[must_use]
    pub(crate) fn new(console: &'a Console, manifest: &'a Manifest) -> Option<Self> {
        let troubles = Troubles::new(Names::new(manifest));
        console.is_in_workflow().then_some(Self { console, troubles })
    }

    fn manifest(&self) -> &'a Manifest {
        self.troubles.names().manifest()
    }

    fn annotate(&self, level: Level, line: Option<usize>, title: &str, message: &str) {
        let manifest = self.manifest();
        let title = format!("{}: {title}", manifest.name());
        self.console.annotate(&Annotation {
            file: Some(manifest.file()),
            line,
            ..Annotation::new(level, &title, message)
        });
    }

    fn annotate_trouble(&self, trouble: &Trouble, level: Level, title: &str) {
        let line = trouble.source.map(|source| self.manifest().sources()[source].line);
        self.annotate(level, line, title, &message_of(trouble));
    }

    fn annotate_all(&self, is_plan: bool) {
        // For a plan, a path conflict is a result, not a failure.
        let is_conflict =
            |trouble: &Trouble| is_plan && trouble.kind == Some(ErrorKind::PathConflict);
        let (conflicts, errors): (Vec<_>, Vec<_>) =
            self.troubles.list().into_iter().partition(is_conflict);
        for conflict in &conflicts {
            let number = Count(conflict.count(), "conflict", "conflicts");
            self.annotate_trouble(conflict, Level::Warning, &number.to_string());
        }
        let room = self.console.annotations_left(Level::Error);
        let shown = if errors.len() <= room { room } else { room.saturating_sub(1) };
        for trouble in errors.iter().take(shown) {
            self.annotate_trouble(trouble, Level::Error, &title_of(trouble));
        }
        if shown < errors.len() {
            let rest = Count((errors.len() - shown) as u64, "more group", "more groups");
            let message =
                format!("GitHub shows {MOST} annotations per step; the log has all of them.");
            self.annotate(Level::Error, None, &format!("{rest} of failures"), &message);
        }
    }
}

impl Reporter for Annotations<'_> {
    fn event(&mut self, event: &Event) {
        self.troubles.event(event);
        if let Some(message) = warning(event) {
            self.annotate(Level::Warning, None, "warning", &Untrusted(&message).escaped());
        }
    }
}

impl Closing<Ended<'_>> for Annotations<'_> {
    fn close(&mut self, ended: &Ended<'_>) {
        let counts = match &ended.with {
            EndedWith::Account(Account::Planned(counts)) => Some(*counts),
            _ => None,
        };
        self.annotate_all(counts.is_some());
        if let Some(counts) = counts
            && ended.status == ExitStatus::Drift
        {
            self.annotate(Level::Notice, None, "there is something to do", &drift(&counts));
        }
    }
}

/// `3 to fetch, 1 to replace`
fn drift(counts: &Counts) -> String {
    let counts =
        [(counts.fetch, "to fetch"), (counts.replace, "to replace"), (counts.prune, "to prune")];
    let shown = counts.iter().filter(|(count, _)| 0 < *count);
    let shown: Vec<_> = shown.map(|(count, what)| format!("{count} {what}")).collect();
    shown.join(", ")
}

fn title_of(trouble: &Trouble) -> String {
    match trouble.kind {
        Some(kind) => format!("{} ({kind})", trouble.what),
        None => trouble.what.clone(),
    }
}

fn message_of(trouble: &Trouble) -> String {
    // Escaped and cut, so that text from outside cannot add lines to the message.
    let short = |text: &str| Untrusted(cut(text, LONGEST)).to_string();
    let mut lines: Vec<String> = trouble.why.iter().map(|why| short(why)).collect();
    let mut names: Vec<String> = Vec::new();
    for (path, why) in &trouble.first {
        match why {
            Some(why) => lines.push(format!("{}: {}", short(path), short(why))),
            None => names.push(short(path)),
        }
    }
    let more = match trouble.more {
        0 => None,
        more if names.is_empty() => Some(format!("and {more} more")),
        more => Some(format!(" and {more} more")),
    };
    if names.is_empty() {
        lines.extend(more);
    } else {
        lines.push(format!("{}{}", names.join(", "), more.unwrap_or_default()));
    }
    lines.extend(trouble.hint.as_ref().map(|hint| format!("hint: {}", short(hint))));
    lines.join("\n")
}

/// Annotates the error that ended a run. The problems of a manifest are annotated at their lines.
pub(super) fn annotate_error(console: &Console, error: &RunError, hint: Option<&str>) {
    let with_hint = |message: &str, hint: Option<&str>| {
        let message = Untrusted(message).escaped();
        hint.map_or(message.to_string(), |hint| format!("{message}\nhint: {}", Untrusted(hint)))
    };
    match error {
        RunError::Manifest(problems) => {
            for problem in problems.iter() {
                let message = with_hint(&problem.message, problem.hint.as_deref());
                console.annotate(&Annotation {
                    file: Some(&problem.file),
                    line: Some(problem.line),
                    column: Some(problem.column),
                    ..Annotation::new(Level::Error, "manifest", &message)
                });
            }
        }
        RunError::Lock(problem) => {
            let message = with_hint(&problem.message, problem.hint);
            console.annotate(&Annotation {
                file: Some(&problem.file),
                line: problem.line,
                ..Annotation::new(Level::Error, "lock", &message)
            });
        }
        error => {
            let message = with_hint(&error.to_string(), hint);
            console.annotate(&Annotation::new(Level::Error, "natsync", &message));
        }
    }
}

/// Annotates a warning that is not about a manifest.
pub(crate) fn annotate_warning(console: &Console, message: &str) {
    console.annotate(&Annotation::new(Level::Warning, "natsync", message));
}

/// Annotates that a lock and its manifest differ (`lock --check`).
pub(super) fn annotate_drift(console: &Console, file: &Path, manifest: &Manifest, message: &str) {
    let title = format!("{}: the lock would change", manifest.name());
    let annotation = Annotation::new(Level::Error, &title, message);
    console.annotate(&Annotation { file: Some(file), ..annotation });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::event::{Finding, Outcome, Verified};
    use crate::failure::Failure;
    use crate::manifest::entry::EntryIndex;
    use crate::report::testing::{Captured, WALLPAPERS, manifest};
    use crate::report::workflow::Workflow;
    use crate::report::{Settings, Verbosity};

    fn captured(verbosity: Verbosity) -> Captured {
        let actions = |name: &str| (name == "GITHUB_ACTIONS").then(|| "true".into());
        Captured::new(Settings { verbosity, ..Settings::default() }, None)
            .in_workflow(Workflow::of(actions).unwrap())
    }

    fn failed(entry: u64, failure: &Failure) -> Event {
        let (entry, outcome) = (EntryIndex(entry), Outcome::Failed(failure.clone()));
        Event::Finished { entry, outcome, attempts: 1, received: 0 }
    }

    fn ended(status: ExitStatus, account: Account) -> Ended<'static> {
        Ended { status, elapsed: Duration::from_secs(1), with: EndedWith::Account(account) }
    }

    fn annotated(verbosity: Verbosity, events: &[Event], ended: &Ended<'_>) -> String {
        let manifest = manifest(WALLPAPERS);
        let captured = captured(verbosity);
        let mut annotations = Annotations::new(&captured.console, &manifest).unwrap();
        for event in events {
            annotations.event(event);
        }
        annotations.close(ended);
        assert_eq!(captured.out(), "");
        captured.err()
    }

    fn script() -> Vec<Event> {
        let busy = Failure::new(ErrorKind::HttpStatus, "answered 503").with_status(503);
        let busy = busy.at_origin("http://ngm.example").with_hint("wait, 100% sure");
        let mut events: Vec<_> = (0..12).map(|entry| failed(entry, &busy)).collect();
        for (entry, message) in [(338, "answered 404 at a"), (339, "answered 404 at b")] {
            let missing = Failure::new(ErrorKind::HttpStatus, message).with_status(404);
            events.push(failed(entry, &missing));
        }
        let failure = Failure::new(ErrorKind::HttpStatus, "9 of 9 entries are missing");
        events.push(Event::SourceFailed { source: 1, failure });
        let failure = Failure::new(ErrorKind::PruneRefused, "300 files would go");
        events.push(Event::Unpruned { path: None, failure });
        let message = "the state\n::error::could not be read".to_owned();
        events.push(Event::Warning { message });
        events
    }

    #[test]
    fn failures_are_annotated_in_groups() {
        let account = Account::Applied(crate::event::Summary::default());
        let ended = ended(ExitStatus::Failed, account);
        assert_snapshot!(annotated(Verbosity::Normal, &script(), &ended), @r"
        ::warning file=natgeo.yaml,title=natgeo%3A warning::the state\u{a}::error::could not be read
        ::error file=natgeo.yaml,line=5,title=natgeo%3A 12 entries failed (http_status)::answered 503%0A0817-1.jpg, 0817-2.jpg, 0817-3.jpg and 9 more%0Ahint: wait, 100%25 sure
        ::error file=natgeo.yaml,line=8,title=natgeo%3A 2 entries failed (http_status)::poster-1.png: answered 404 at a%0Aposter-2.png: answered 404 at b%0Ahint: `natsync explain natgeo.yaml poster-1.png` shows what is requested and why
        ::error file=natgeo.yaml,line=8,title=natgeo%3A source posters failed (http_status)::9 of 9 entries are missing
        ::error file=natgeo.yaml,title=natgeo%3A nothing was pruned (prune_refused)::300 files would go
        ");
        let quiet = annotated(Verbosity::Quiet, &script(), &ended);
        assert!(!quiet.contains("::warning") && quiet.contains("::error"), "{quiet}");
    }

    #[test]
    fn findings_of_verify_are_annotated() {
        let found = |entry, finding| Event::Verified {
            entry: EntryIndex(entry),
            verified: Verified { finding, sha256: None, failure: None },
        };
        let mut events: Vec<_> = (0..5).map(|entry| found(entry, Finding::Modified)).collect();
        events.extend([
            found(6, Finding::Ok),
            found(340, Finding::Gone),
            found(7, Finding::Unknown),
        ]);
        let account = Account::Verified(crate::ops::Findings::default());
        let ended = ended(ExitStatus::Failed, account);
        assert_snapshot!(annotated(Verbosity::Normal, &events, &ended), @r"
        ::error file=natgeo.yaml,line=5,title=natgeo%3A 5 files modified::0817-1.jpg, 0817-2.jpg, 0817-3.jpg and 2 more%0Ahint: `natsync apply --rehash` repairs that
        ::error file=natgeo.yaml,line=8,title=natgeo%3A 1 file gone::poster-3.png%0Ahint: `natsync apply --rehash` repairs that
        ");
    }

    #[test]
    fn a_plan_tells_what_there_is_to_do() {
        let conflict = Failure::new(ErrorKind::PathConflict, "a directory is there");
        let counts = Counts { fetch: 3, prune: 1, keep: 9, ..Counts::default() };
        let ended = ended(ExitStatus::Drift, Account::Planned(counts));
        assert_snapshot!(annotated(Verbosity::Normal, &[failed(0, &conflict)], &ended), @r"
        ::warning file=natgeo.yaml,line=5,title=natgeo%3A 1 conflict::a directory is there%0A0817-1.jpg
        ::notice file=natgeo.yaml,title=natgeo%3A there is something to do::3 to fetch, 1 to prune
        ");
    }

    #[test]
    fn beyond_ten_groups_the_rest_is_counted() {
        let failure = |status| Failure::new(ErrorKind::HttpStatus, "no").with_status(status);
        let events: Vec<_> = (0..14).map(|n| failed(u64::from(n), &failure(500 + n))).collect();
        let account = Account::Applied(crate::event::Summary::default());
        let text = annotated(Verbosity::Normal, &events, &ended(ExitStatus::Failed, account));
        assert_eq!(text.matches("::error ").count(), 10, "{text}");
        let last = text.lines().last().unwrap();
        assert!(last.contains("title=natgeo%3A 5 more groups of failures::"), "{last}");
    }

    #[test]
    fn an_error_that_ends_a_run_is_annotated() {
        let captured = captured(Verbosity::Quiet);
        let busy = RunError::Busy { dest: "out,a".into(), shard: None, holder: None };
        annotate_error(&captured.console, &busy, Some("wait"));
        let text = "version: 1\ndest: out\nsources:\n  - url: http://h/{n}\n    on_mising: skip\n";
        let options = crate::manifest::LoadOptions {
            today: jiff::civil::date(2026, 1, 31),
            set: &[],
            env: &|_| None,
            dest: None,
        };
        let problems = Manifest::parse(Path::new("m/a.yaml"), text, &options).unwrap_err();
        annotate_error(&captured.console, &problems.into(), None);
        assert_snapshot!(captured.err(), @r"
        ::error title=natsync::another run holds `out,a`%0Ahint: wait
        ::error file=m/a.yaml,line=4,col=19,title=manifest::variable `n` is not declared%0Ahint: no variable is declared: add it under `vars`
        ::error file=m/a.yaml,line=5,col=5,title=manifest::unknown field `on_mising` in source `a`%0Ahint: did you mean `on_missing`?
        ");
    }
}
